// Calls and nothing else. Prints how many there were, and how long the thread ran: CPU time in nanoseconds.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

__attribute__((noinline)) unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

__attribute__((no_instrument_function)) static unsigned long long thread_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

__attribute__((no_instrument_function)) static unsigned long long calls(unsigned n) {
    unsigned long long before = 1, now = 1;
    for (unsigned i = 2; i <= n; i++) {
        unsigned long long next = now + before + 1;
        before = now;
        now = next;
    }
    return now;
}

int main(int count, char **arguments) {
    unsigned n = count > 1 ? atoi(arguments[1]) : 20;
    unsigned rounds = count > 2 ? atoi(arguments[2]) : 1;
    volatile unsigned result = 0;
    unsigned long long best = ~0ull;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned long long begin = thread_ns();
        result += fib(n);
        unsigned long long spent = thread_ns() - begin;
        best = spent < best ? spent : best;
    }
    printf("calls %llu ns %llu\n", calls(n) * rounds, best);
    return 0;
}

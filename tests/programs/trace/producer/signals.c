// Signals that interrupt the hooks: their handlers call, deeply, on another stack, leave marks, and leave by siglongjmp now
// and then.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "called.h"

static sigjmp_buf back;
static void (*emit)(unsigned code, const unsigned long long *payload, size_t words);
static volatile int jumps_allowed, signals, burst;

TRACED static int leaf(int n) { CALLED; __asm__ volatile("" : "+r"(n)); return n; }
TRACED static int work(int n) { CALLED; return n == 0 ? leaf(n) : work(n - 1) + leaf(n); }

TRACED static void handle(int signal) {
    CALLED;
    signals++;
    unsigned long long text[] = {3, 'm' | 'r' << 8 | 'k' << 16};
    if (emit) emit(6, text, 2);
    leaf(signal);
    if (signals % 7 == 0) work(burst);
    if (jumps_allowed && signals % 5 == 0) siglongjmp(back, 1);
}

TRACED static void loop(int rounds) {
    CALLED;
    for (int round = 0; round < rounds; round++) work(20);
}

TRACED int main(int count, char **arguments) {
    CALLED;
    int enough = atoi(arguments[1]);
    burst = atoi(arguments[2]);
    int jumps = count > 3;
    emit = (void (*)(unsigned, const unsigned long long *, size_t))dlsym(RTLD_DEFAULT, "umbel_trace_emit");
    stack_t stack = {.ss_sp = malloc(1 << 20), .ss_size = 1 << 20};
    sigaltstack(&stack, NULL);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 60}, {0, 60}};
    sigsetjmp(back, 1);
    jumps_allowed = jumps;
    setitimer(ITIMER_REAL, &timer, NULL);
    while (signals < enough) loop(10);
    jumps_allowed = 0;
    memset(&timer, 0, sizeof timer);
    setitimer(ITIMER_REAL, &timer, NULL);
    called_print();
    printf("signals %d\n", signals);
    return 0;
}

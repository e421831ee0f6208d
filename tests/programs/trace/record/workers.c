/* Four threads call `outer`, which calls `inner`, which calls an inlined function, until standard input ends; then what was called
   is written out, counted by the functions themselves. With an argument: so many rounds of each thread, and standard input is
   not looked at. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4 };

static atomic_long outers, inners;
static atomic_int over;
static long rounds;

static inline __attribute__((always_inline)) int inlined(int value) { return value ^ 1; }

__attribute__((noinline)) int inner(int value)
{
    atomic_fetch_add(&inners, 1);
    return inlined(value) + 1;
}

__attribute__((noinline)) int outer(int value)
{
    atomic_fetch_add(&outers, 1);
    return inner(value) * 3;
}

static void *worker(void *argument)
{
    int value = *(int *)argument;
    for (long round = 0; rounds ? round < rounds : !over; round++) {
        value = outer(value);
        if (!rounds)
            usleep(200);
    }
    *(int *)argument = value;
    return 0;
}

int main(int count, char **arguments)
{
    static int values[THREADS];
    pthread_t threads[THREADS];
    rounds = count > 1 ? atol(arguments[1]) : 0;
    for (int index = 0; index < THREADS; index++)
        pthread_create(&threads[index], 0, worker, &values[index]);
    if (!rounds) {
        while (getchar() != EOF)
            ;
        over = 1;
    }
    for (int index = 0; index < THREADS; index++)
        pthread_join(threads[index], 0);
    printf("%ld %ld\n", (long)outers, (long)inners);
    return 0;
}

// Threads: waves of many, tiny stacks, ends by return, pthread_exit and cancellation, destructors that call.
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include "called.h"

static pthread_key_t key;

TRACED static int leaf(int n) { CALLED; __asm__ volatile("" : "+r"(n)); return n; }
TRACED static int work(int n) { CALLED; return n == 0 ? leaf(n) : work(n - 1) + leaf(n); }
TRACED static void destroy(void *value) { CALLED; leaf((int)(long)value); }

TRACED static void *run(void *argument) {
    CALLED;
    long number = (long)argument;
    pthread_setspecific(key, (void *)(number + 1));
    for (int round = 0; round < 20; round++) work(10);
    if (number % 4 == 1) {
        leaf(1);
        pthread_exit(NULL);
    }
    if (number % 4 == 2) {
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
        pthread_cancel(pthread_self());
        leaf(2);
        pthread_testcancel();
    }
    return NULL;
}

TRACED int main(int count, char **arguments) {
    CALLED;
    int waves = atoi(arguments[1]), threads = atoi(arguments[2]);
    (void)count;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
    pthread_key_create(&key, destroy);
    pthread_t *all = calloc(threads, sizeof *all);
    for (int wave = 0; wave < waves; wave++) {
        for (long i = 0; i < threads; i++)
            if (pthread_create(&all[i], i % 2 ? &attributes : NULL, run, (void *)i)) return 9;
        for (int i = 0; i < threads; i++) pthread_join(all[i], NULL);
    }
    called_print();
    return 0;
}

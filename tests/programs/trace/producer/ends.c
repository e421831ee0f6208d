// Ends in many ways, in the middle of a call. The number of calls is in a shared file, so that whoever killed it can read it.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "called.h"

static volatile unsigned long long *counts;

TRACED static void die(const char *how) {
    counts[0]++;
    volatile int *volatile nowhere = (volatile int *)8;
    if (!strcmp(how, "segv")) *nowhere = 1;
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "_exit")) _exit(0);
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "term")) kill(getpid(), SIGTERM);
}

TRACED static void last(void) { counts[0]++; }
TRACED __attribute__((destructor)) static void destruct(void) { if (counts) counts[0]++; }

// Each thread has its own place.
TRACED static int step(volatile unsigned long long *count, int n) {
    ++*count;
    return n == 0 ? 0 : step(count, n - 1);
}

TRACED static void *spin(void *argument) {
    volatile unsigned long long *count = argument;
    ++*count;
    for (;;) step(count, 9);
    return NULL;
}

TRACED int main(int count, char **arguments) {
    (void)count;
    int file = open(arguments[1], O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, 4096)) return 1;
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    counts[0]++;
    if (!strcmp(arguments[2], "spin")) {
        pthread_t thread;
        pthread_create(&thread, NULL, spin, (void *)(counts + 64));
        spin((void *)counts);
    }
    atexit(last);
    for (int round = 0; round < 5000; round++) step(counts, 5);
    die(arguments[2]);
    return 0;
}

/* What programs do that a tracer could stumble over: `program WHAT`. Prints how often `step` was called, and what happened. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNSEEN __attribute__((no_instrument_function))

static volatile long steps;

__attribute__((noinline)) void step(void)
{
    steps++;
    __asm__ volatile("");
}

static void many(int count)
{
    for (int index = 0; index < count; index++)
        step();
}

/* Becomes another user in the middle, and has a child then. */
static int user(void)
{
    many(1000);
    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) {
        printf("0 %s\n", strerror(errno));
        return 1;
    }
    many(1000);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        many(500);
        _exit(geteuid() == 65534 ? 7 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    many(1000);
    printf("%ld %d\n", steps + 500, WEXITSTATUS(status));
    return 0;
}

static UNSEEN void *steps_for_ever(void *ready)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    __atomic_store_n((int *)ready, 1, __ATOMIC_RELEASE);
    for (;;)
        step();
    return NULL;
}

/* Threads that are cancelled wherever they are: most often in a hook. */
static int cancel(void)
{
    for (int round = 0; round < 200; round++) {
        pthread_t thread;
        int ready = 0;
        void *result;
        if (pthread_create(&thread, NULL, steps_for_ever, &ready))
            return 1;
        while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
            usleep(10);
        usleep(round % 50);
        pthread_cancel(thread);
        if (pthread_join(thread, &result) || result != PTHREAD_CANCELED)
            return 2;
    }
    printf("%ld 200\n", steps);
    return 0;
}

/* Locks all its memory, also what comes. */
static int locked(void)
{
    int result = mlockall(MCL_CURRENT | MCL_FUTURE);
    many(1000);
    char *more = malloc(1 << 20);
    memset(more, 1, 1 << 20);
    many(1000);
    free(more);
    printf("%ld %d\n", steps, result);
    return 0;
}

/* What a program has that nobody asked it for: memory in its heap, an error of the loader. */
static int heap(void)
{
    const char *error = dlerror();
    many(1000);
    struct mallinfo2 all = mallinfo2();
    printf("%ld %zu\n", steps, all.uordblks + all.ordblks);
    return error || dlerror() || errno ? 1 : 0;
}

/* More events than a small disk has room for. */
static int much(void)
{
    unsigned number = 1;
    for (int index = 0; index < 3000000; index++) {
        number = number * 1664525 + 1013904223;
        if (number >> 31)
            step();
        else
            many(1);
    }
    printf("%ld 0\n", steps);
    return 5;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "user"))
        return user();
    if (!strcmp(what, "cancel"))
        return cancel();
    if (!strcmp(what, "locked"))
        return locked();
    if (!strcmp(what, "heap"))
        return heap();
    if (!strcmp(what, "much"))
        return much();
    many(1000);
    printf("%ld 0\n", steps);
    return 0;
}

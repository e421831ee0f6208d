// Processes: fork, fork in a thread, _Fork, raw clone, vfork and exec, posix_spawn, and a daemon that closes everything.
// Each prints its own count.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "called.h"

extern char **environ;

TRACED static int leaf(int n) { CALLED; __asm__ volatile("" : "+r"(n)); return n; }
TRACED static int work(int n) { CALLED; return n == 0 ? leaf(n) : work(n - 1) + leaf(n); }

TRACED static void child(int fast) {
    called_count = 0;
    // This call began in the child, but for those that were made before it.
    for (int round = 0; round < 100; round++) work(50);
    called_print();
    if (fast) _exit(0);
    exit(0);
}

UNTRACED static void wait_for(int pid) {
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) _exit(98);
}

TRACED static void forks(int depth) {
    CALLED;
    int pid = fork();
    if (pid == 0) {
        called_count = 0;
        work(5);
        if (depth > 0) forks(depth - 1);
        called_print();
        _exit(0);
    }
    wait_for(pid);
}

TRACED static void *forking_thread(void *argument) {
    CALLED;
    forks(1);
    return argument;
}

int main(int count, char **arguments) {
    CALLED;
    if (count > 1) {
        work(count);
        called_print();
        return 0;
    }
    forks(2);
    pthread_t thread;
    pthread_create(&thread, NULL, forking_thread, NULL);
    work(30);
    pthread_join(thread, NULL);

    char *again[] = {arguments[0], "again", NULL};
    int pid = vfork();
    if (pid == 0) {
        // In the parent's memory: counted there.
        leaf(1);
        execve("/proc/self/exe", again, environ);
        _exit(97);
    }
    wait_for(pid);
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ)) return 96;
    wait_for(pid);
    pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) child(1);
    wait_for(pid);
    pid = _Fork();
    if (pid == 0) child(1);
    wait_for(pid);
    pid = fork();
    if (pid == 0) {
        for (int file = 3; file < 1024; file++) close(file);
        if (chdir("/") || setsid() < 0) _exit(95);
        child(0);
    }
    wait_for(pid);
    called_print();
    return 0;
}

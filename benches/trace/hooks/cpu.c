// Preloaded into each measured program: what its main thread takes from the begin of main to the end of the process, in
// nanoseconds of processor time and of time, and when main began by CLOCK_MONOTONIC, into the file that UMBEL_BENCH_CPU names.
// Silent in all programs but UMBEL_BENCH_PROGRAM: a tracer's command inherits it too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int (*program)(int, char **, char **);
static struct timespec cpu_begin, wall_begin;
static pid_t measured;

static long long since(clockid_t clock, const struct timespec *begin) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (now.tv_sec - begin->tv_sec) * 1000000000ll + now.tv_nsec - begin->tv_nsec;
}

static int main_measured(int argc, char **argv, char **environment) {
  const char *name = getenv("UMBEL_BENCH_PROGRAM");
  if (name && !strcmp(name, program_invocation_short_name)) measured = getpid();
  clock_gettime(CLOCK_MONOTONIC, &wall_begin);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_begin);
  return program(argc, argv, environment);
}

__attribute__((destructor)) static void tell(void) {
  long long cpu = since(CLOCK_THREAD_CPUTIME_ID, &cpu_begin), wall = since(CLOCK_MONOTONIC, &wall_begin);
  const char *path = getenv("UMBEL_BENCH_CPU");
  if (!path || measured != getpid()) return;
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  dprintf(file, "%lld %lld %lld\n", cpu, wall, wall_begin.tv_sec * 1000000000ll + wall_begin.tv_nsec);
  close(file);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void *stack_end) {
  int (*next)(void *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *) =
      dlsym(RTLD_NEXT, "__libc_start_main");
  program = main;
  return next(main_measured, argc, argv, init, fini, loader_fini, stack_end);
}

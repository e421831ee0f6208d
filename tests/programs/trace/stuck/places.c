// Threads in all the places where a thread can be: computing, in system calls that a stop makes fail and in others, in a signal's
// handler, deep below. Ends when something comes from standard input; says if a system call failed before.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

#include "../trace.h"

static volatile int running = 1;
static int failures;

APART int spins(int from) {
  int count = from;
  while (running) count++;
  return count;
}

static void check(const char *call, int result) {
  if (result >= 0) return;
  failures++;
  printf("%s failed: %s\n", call, strerror(errno));
  fflush(stdout);
}

APART int waits_for_events(int below, const char *text) {
  char room[32];
  snprintf(room, sizeof room, "%s%d", text, below);
  if (below > 0) return waits_for_events(below - 1, text) + room[0];
  int events = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(events, EPOLL_CTL_ADD, 0, &event);
  int count = epoll_wait(events, &event, 1, -1);
  check("epoll_wait", count);
  return count;
}

APART int waits_for_semaphore(int set) {
  struct sembuf down = {.sem_op = -1};
  int result = semop(set, &down, 1);
  check("semop", result);
  return result;
}

static void handles(int signal) {
  (void)signal;
  pause();
}

APART void is_interrupted(void) { raise(SIGUSR1); }

static void *spinning(void *argument) {
  pthread_setname_np(pthread_self(), "spinning");
  return (void *)(long)spins((int)(long)argument);
}
static void *waiting(void *argument) {
  pthread_setname_np(pthread_self(), "waiting");
  return (void *)(long)waits_for_events(3, argument);
}
static void *blocking(void *argument) {
  pthread_setname_np(pthread_self(), "blocking");
  return (void *)(long)waits_for_semaphore(*(int *)argument);
}
static void *handling(void *argument) {
  pthread_setname_np(pthread_self(), "handling");
  is_interrupted();
  return argument;
}
static int sleeps(const void *one, const void *other) {
  (void)one;
  (void)other;
  while (running) usleep(20000);
  return 0;
}
static void *sorting(void *argument) {
  pthread_setname_np(pthread_self(), "sorting");
  int numbers[2] = {2, 1};
  qsort(numbers, 2, sizeof numbers[0], sleeps);
  return argument;
}

int main(int count, char **arguments) {
  (void)count;
  signal(SIGUSR1, handles);
  int set = semget(IPC_PRIVATE, 1, 0600);
  FILE *text = fopen(arguments[1], "r");
  static char buffer[64];
  setvbuf(text, buffer, _IOFBF, sizeof buffer);
  char line[16];
  if (!fgets(line, sizeof line, text)) return 1;
  pthread_t spinner, waiter, blocker, handler, sorter;
  pthread_create(&spinner, 0, spinning, (void *)7L);
  pthread_create(&waiter, 0, waiting, (void *)"text");
  pthread_create(&blocker, 0, blocking, &set);
  pthread_create(&handler, 0, handling, 0);
  pthread_create(&sorter, 0, sorting, 0);
  pthread_join(waiter, 0);
  running = 0;
  pthread_join(spinner, 0);
  pthread_join(sorter, 0);
  struct sembuf up = {.sem_op = 1};
  semop(set, &up, 1);
  pthread_join(blocker, 0);
  semctl(set, 0, IPC_RMID);
  printf("%d failures\n", failures);
  fflush(stdout);
  _exit(0);
}

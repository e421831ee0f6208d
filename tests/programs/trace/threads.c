// gcc: -pthread
// Threads one after the other; the second ends itself from the middle of a call, the third is cancelled in one.
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "trace.h"

static sem_t waits;

APART void step(int n) { __asm__ volatile("" : : "r"(n)); }

APART void *first(void *argument) {
  step(1);
  return argument;
}

APART void leave(void) { pthread_exit(0); }

APART void *second(void *argument) {
  step(2);
  leave();
  return argument;
}

APART void wait_for_ever(void) {
  sem_post(&waits);
  for (;;) pause();
}

APART void *third(void *argument) {
  wait_for_ever();
  return argument;
}

int main(void) {
  pthread_t thread;
  sem_init(&waits, 0, 0);
  pthread_create(&thread, 0, first, 0);
  pthread_join(thread, 0);
  pthread_create(&thread, 0, second, 0);
  pthread_join(thread, 0);
  pthread_create(&thread, 0, third, 0);
  sem_wait(&waits);
  pthread_cancel(thread);
  pthread_join(thread, 0);
  step(3);
  return 0;
}

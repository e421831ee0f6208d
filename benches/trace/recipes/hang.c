// Four threads that wait for ever, each in calls of its own.
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all;

static long down(int depth, const char *name, double share) {
  long sum = depth;
  if (depth > 0) {
    sum += down(depth - 1, name, share / 2);
  } else {
    pthread_barrier_wait(&all);
    pthread_mutex_lock(&held);
  }
  __asm__ volatile("" : "+r"(sum) : "r"(name), "x"(share));
  return sum;
}

static void *work(void *name) {
  return (void *)down(8, name, 1);
}

int main(void) {
  static char names[4][8] = {"north", "east", "south", "west"};
  pthread_barrier_init(&all, NULL, 5);
  pthread_mutex_lock(&held);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, names[i]);
  pthread_barrier_wait(&all);
  puts("ready");
  fflush(stdout);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  return 0;
}

// gcc: -pthread
// A thread's values are destroyed after its function has returned: by calls that belong to it all the same.
#include <pthread.h>

#include "trace.h"

static pthread_key_t key;

APART void first_round(void *value) { pthread_setspecific(key, (char *)value - 1); }
APART void second_round(void *value) { __asm__ volatile("" : : "r"(value)); }
APART void destroy(void *value) { (long)value == 2 ? first_round(value) : second_round(value); }

APART void *work(void *argument) {
  pthread_setspecific(key, (void *)2);
  return argument;
}

int main(void) {
  pthread_t thread;
  pthread_key_create(&key, destroy);
  pthread_create(&thread, 0, work, 0);
  pthread_join(thread, 0);
  return 0;
}

// Two threads that wait in functions which don't keep what they were given; each has variables of its own.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone, noipa))

volatile long sink;
static int pipe_ends[2];

APART void touched(long number) { sink += number; }

APART void waiting(long number) {
  static _Thread_local long mine = 40;
  char byte;
  mine += number;
  touched(number);
  if (read(pipe_ends[0], &byte, 1) == 1)
    touched(byte + mine);
}
APART long third(long first, long second) {
  touched(first);
  waiting(second);
  touched(sink);
  return sink;
}
APART long second(long first, long other) {
  long result = third(first, other + 1);
  touched(result);
  return result;
}
APART long first(long number, long (*called)(long, long)) {
  long result = called(number, 1);
  touched(result);
  return result;
}
static void *threaded(void *argument) {
  // Who calls this has no debug information.
  sink += argument ? first(1000, second) : 0;
  return 0;
}

int main(void) {
  if (pipe(pipe_ends))
    return 1;
  pthread_t thread;
  pthread_create(&thread, 0, threaded, pipe_ends);
  long result = first(2000, second);
  pthread_join(thread, 0);
  return (int)result;
}

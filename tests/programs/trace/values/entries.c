// gcc: -fno-optimize-sibling-calls
// Arguments that nothing keeps: their callers' callers know them; calls through pointers; each thread's own variables.
#include <pthread.h>

#include "../trace.h"

struct object {
  long (*act)(struct object *self, long number, int kind);
  long value;
};

volatile long sink;

APART void touched(long number) { sink += number; }

/* Each hands on what it was given, and doesn't need it any more. */
APART long fourth(long first, long second, long third) {
  touched(first);
  touched(second + third);
  return first - third;
}
APART long third(long first, long second) {
  long result = fourth(first, second, second + 1);
  touched(result);
  return result;
}
APART long second(long first, long other) {
  long result = third(first, other);
  touched(result);
  return result;
}
APART long first(long number) {
  long result = second(number, 17);
  touched(result);
  return result;
}

/* Called through pointers: whoever is called must be the one. */
APART long act(struct object *self, long number, int kind) {
  long result = sink + (self != 0);
  touched(number);
  touched(kind);
  return result;
}
APART long other(struct object *self, long number, int kind) {
  long result = sink - (self != 0);
  touched(kind);
  touched(number);
  return result;
}
APART long through(struct object *object, long number) {
  long result = object->act(object, number + 1, 3);
  touched(result);
  return result + object->value;
}
APART long either(long (*called)(struct object *, long, int), long number) {
  long result = called(0, number, 4);
  touched(result);
  return result;
}

/* Thread-local: of the file, of a function. */
_Thread_local long own = 5;
APART long counted(int by) {
  static _Thread_local long calls = 100;
  static _Thread_local struct object last;
  static _Thread_local const char *name = "mine";
  calls += by;
  last.value = calls;
  own += calls;
  return calls + name[0] + last.value;
}
static void *threaded(void *argument) {
  for (int i = 0; i < 3; i++)
    sink += counted((int)(long)argument);
  return 0;
}

int main(void) {
  struct object one = {act, 1}, two = {other, 2};
  for (long i = 0; i < 5; i++) {
    sink += first(i * 1000) + through(&one, i) + through(&two, i) + either(act, i) + either(other, i);
    sink += counted(1);
  }
  pthread_t thread;
  pthread_create(&thread, 0, threaded, (void *)2L);
  pthread_join(thread, 0);
  return sink == 0;
}

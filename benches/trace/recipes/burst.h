// Bursts of calls, and what the best one of a kind took: the others were disturbed.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PLAIN __attribute__((no_instrument_function))

PLAIN static inline double thread_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}

// Bursts of each kind, in turn: the first ones find new memory, and everything cold.
#define BURSTS 15

// What a kind took, in nanoseconds of an event: the least so far.
struct kind {
  const char *name;
  double least;
};

// A burst: so many calls, each of so many events.
#define BURST(kind, events, calls, call)                                           \
  do {                                                                             \
    double begin = thread_ns();                                                    \
    for (long number = 0; number < (calls); number++) call;                        \
    double took = (thread_ns() - begin) / (calls) / (events);                      \
    if ((kind)->least == 0 || took < (kind)->least) (kind)->least = took;          \
  } while (0)

PLAIN static inline void print(const struct kind *kinds, int count) {
  for (int number = 0; number < count; number++) printf("%s %.3f\n", kinds[number].name, kinds[number].least);
}

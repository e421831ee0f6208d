// Bursts of calls, and what the best one of a kind took: the others were disturbed.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PLAIN __attribute__((no_instrument_function))

PLAIN static inline double thread_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}

// Nanoseconds of an event, of which a call has so many: the least of several bursts.
#define BURSTS 9
#define LEAST(name, events, calls, call)                                           \
  do {                                                                             \
    double least = 1e18;                                                           \
    for (int burst = 0; burst < BURSTS; burst++) {                                 \
      double begin = thread_ns();                                                  \
      for (long number = 0; number < (calls); number++) call;                      \
      double took = (thread_ns() - begin) / (calls) / (events);                    \
      if (took < least) least = took;                                              \
    }                                                                              \
    printf("%s %.3f\n", name, least);                                              \
  } while (0)

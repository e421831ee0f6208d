// Watches the code of a function that it calls all the time: prints when it changed, in nanoseconds of CLOCK_MONOTONIC, and
// ends after CHANGES changes (the first argument), or after 20 seconds.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WATCHED_BYTES 48

__attribute__((noinline, noclone)) long watched(long n) { return n * 3 + 1; }

__attribute__((no_instrument_function)) static uint64_t code(void) {
  const volatile unsigned char *bytes = (const volatile unsigned char *)watched;
  uint64_t sum = 0;
  for (int n = 0; n < WATCHED_BYTES; n++) sum = sum * 257 + bytes[n];
  return sum;
}

__attribute__((no_instrument_function)) static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ll + time.tv_nsec;
}

__attribute__((no_instrument_function)) int main(int argc, char **argv) {
  long changes = argc > 1 ? atol(argv[1]) : 1;
  long long end = now() + 20000000000ll;
  uint64_t last = code();
  long value = 0;
  printf("ready\n");
  fflush(stdout);
  while (changes > 0 && now() < end) {
    for (int n = 0; n < 100; n++) value = watched(value);
    // The call and the return are two sites: a change is over when the code stays as it is.
    if (code() == last) continue;
    long long when = now();
    for (last = code(); now() < when + 20000000;) {
      if (code() != last) last = code(), when = now();
    }
    printf("%lld\n", when);
    fflush(stdout);
    changes--;
  }
  return value == 0;
}

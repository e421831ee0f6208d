// longjmp: out of several calls, twice to the same place, and out of a signal handler.
#include <setjmp.h>
#include <signal.h>

#include "trace.h"

static jmp_buf place;
static sigjmp_buf place_of_signals;

APART void tiny(void) { __asm__ volatile(""); }

APART void deep(int n) {
  if (n == 0) longjmp(place, 1);
  deep(n - 1);
}

APART void out_of_calls(void) {
  volatile int times = 0;
  setjmp(place);
  if (times++ < 2) deep(times);
  tiny();
}

APART void on_signal(int number) {
  (void)number;
  siglongjmp(place_of_signals, 1);
}

APART void interrupted(void) { raise(SIGUSR1); }

APART void out_of_handler(void) {
  if (!sigsetjmp(place_of_signals, 1)) interrupted();
  tiny();
}

int main(void) {
  signal(SIGUSR1, on_signal);
  out_of_calls();
  out_of_handler();
  return 0;
}

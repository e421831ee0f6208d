// A signal handler in the middle of calls: from kill of itself, and nested.
#include <signal.h>

#include "trace.h"

APART void tiny(void) { __asm__ volatile(""); }

APART void on_second(int number) {
  (void)number;
  tiny();
}

APART void on_first(int number) {
  (void)number;
  tiny();
  raise(SIGUSR2);
}

APART void work(void) {
  tiny();
  raise(SIGUSR1);
  tiny();
}

int main(void) {
  signal(SIGUSR1, on_first);
  signal(SIGUSR2, on_second);
  work();
  return 0;
}

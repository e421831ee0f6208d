// Two stacks in one thread, by swapcontext: the calls of both come one after the other, as they happened; which of them are
// left for the other stack's the tracer does not know, and takes them for ended.
#include <ucontext.h>

#include "trace.h"

static ucontext_t at_main, at_other;
static char stack[256 * 1024];

APART void tiny(void) { __asm__ volatile(""); }

APART void yield(void) { swapcontext(&at_other, &at_main); }

APART void other(void) {
  tiny();
  yield();
  tiny();
}

APART void go_on(void) { swapcontext(&at_main, &at_other); }

int main(void) {
  getcontext(&at_other);
  at_other.uc_stack.ss_sp = stack;
  at_other.uc_stack.ss_size = sizeof stack;
  at_other.uc_link = &at_main;
  makecontext(&at_other, other, 0);
  go_on();
  tiny();
  go_on();
  tiny();
  return 0;
}

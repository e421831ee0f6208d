// Several stacks in one thread, by ucontext(3): each has its own frames. One is left and gone on with by swapcontext and ends into
// its successor, one is entered by makecontext and afterwards only by siglongjmp, one is entered by setcontext and never left.
#include <setjmp.h>
#include <ucontext.h>

#include "trace.h"

static ucontext_t at_main, at_other;
static sigjmp_buf main_buffer, jumper_buffer;
static char stacks[3][64 * 1024];
static volatile int rounds;

APART void tiny(void) { __asm__ volatile(""); }

APART void yield(void) { swapcontext(&at_other, &at_main); }

APART void other(void) {
  tiny();
  yield();
  tiny();
}

APART void go_on(void) { swapcontext(&at_main, &at_other); }

APART void leap(void) {
  if (!sigsetjmp(jumper_buffer, 0)) siglongjmp(main_buffer, 1);
  tiny();
}

APART void jumper(void) {
  leap();
  siglongjmp(main_buffer, 1);
}

APART void start_jumper(void) {
  if (!sigsetjmp(main_buffer, 0)) swapcontext(&at_main, &at_other);
}

APART void wake_jumper(void) {
  if (!sigsetjmp(main_buffer, 0)) siglongjmp(jumper_buffer, 1);
}

APART void stay(void) {
  tiny();
  setcontext(&at_main);
}

APART void leave_for_good(void) {
  rounds = 0;
  getcontext(&at_main);
  tiny();
  if (rounds++ == 0) setcontext(&at_other);
}

UNSEEN static void make(void (*function)(void), char *stack, ucontext_t *successor) {
  getcontext(&at_other);
  at_other.uc_stack.ss_sp = stack;
  at_other.uc_stack.ss_size = sizeof stacks[0];
  at_other.uc_link = successor;
  makecontext(&at_other, function, 0);
}

int main(void) {
  make(other, stacks[0], &at_main);
  go_on();
  tiny();
  go_on();
  tiny();
  make(jumper, stacks[1], 0);
  start_jumper();
  tiny();
  wake_jumper();
  make(stay, stacks[2], 0);
  leave_for_good();
  tiny();
  return 0;
}

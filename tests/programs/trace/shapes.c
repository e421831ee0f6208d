// Functions that compilers treat each in its own way: static, inline, called last, with any number of arguments, with arrays
// of any size, with many values, and one inside another.
#include <alloca.h>
#include <stdarg.h>
#include <string.h>

#include "trace.h"

struct big {
  long values[40];
};

static int plain_static(int n) {
  __asm__ volatile("" : "+r"(n));
  return n;
}

static inline __attribute__((always_inline)) int always_inline(int n) {
  __asm__ volatile("" : "+r"(n));
  return n + 1;
}

APART int called_last(int n) { return n + 1; }
APART int calls_last(int n) { return called_last(n); }

APART int any_number(int count, ...) {
  va_list list;
  va_start(list, count);
  int sum = 0;
  for (int n = 0; n < count; n++) sum += va_arg(list, int);
  va_end(list);
  return sum;
}

APART int any_size(int bytes) {
  char *room = alloca(bytes);
  memset(room, 1, bytes);
  __asm__ volatile("" : : "r"(room) : "memory");
  return room[bytes - 1];
}

APART struct big returns_big(int n) { return (struct big){{n}}; }
APART double floating(double a, float b) { return a + b; }

APART int outer(int n) {
  int sum = 0;
  APART void inner(int add) {
    sum += add;
    if (add) inner(add - 1);
  }
  inner(n);
  return sum;
}

int main(void) {
  int sum = plain_static(1) + always_inline(1) + calls_last(1);
  sum += any_number(3, 1, 2, 3) + any_size(100 + sum) + (int)returns_big(7).values[0];
  sum += (int)floating(1, 2) + outer(2);
  return sum != 25;
}

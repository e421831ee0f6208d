// What runs before and after main: constructors, destructors, atexit.
#include <cstdlib>

#include "trace.h"

APART void tiny() { __asm__ volatile(""); }

struct Global {
  APART Global() { tiny(); }
  APART ~Global() { tiny(); }
};

__attribute__((constructor)) APART void early() { tiny(); }
__attribute__((destructor)) APART void late() { tiny(); }
APART void at_exit() { tiny(); }

int main() {
  static Global of_main;
  atexit(at_exit);
  tiny();
  return 0;
}

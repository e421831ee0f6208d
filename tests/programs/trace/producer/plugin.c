// A module that comes and goes.
#include "called.h"

extern void plugin_called(unsigned long long count);

TRACED static int inner(int n) { CALLED; __asm__ volatile("" : "+r"(n)); return n + 1; }

TRACED __attribute__((constructor)) static void begin(void) { CALLED; inner(1); }
TRACED int plugin(int n) { CALLED; return inner(n); }
TRACED __attribute__((destructor)) static void end(void) {
    CALLED;
    inner(2);
    plugin_called(called_count);
}

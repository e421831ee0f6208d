// The library of loads.c.
#include "trace.h"

static __attribute__((constructor)) void arrives(void) { __asm__ volatile(""); }
static __attribute__((destructor)) void leaves(void) { __asm__ volatile(""); }

static APART int helper(int n) { return n * 2; }
APART int in_library(int n) { return helper(n) + n; }

// Counts the calls of traced functions, independently of the tracer: every traced function begins with CALLED.
#pragma once
#include <stdio.h>
#include <unistd.h>

#define UNTRACED __attribute__((no_instrument_function))
#define TRACED __attribute__((noinline))

static unsigned long long called_count;
#define CALLED __atomic_fetch_add(&called_count, 1, __ATOMIC_RELAXED)

// By one write, so that lines of several processes don't mix.
UNTRACED static inline void called_print(void) {
    char line[64];
    int length = snprintf(line, sizeof line, "calls %llu\n", called_count);
    if (write(1, line, length) != length) _exit(99);
}

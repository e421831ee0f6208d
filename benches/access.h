/* access.h - a clock, and accesses that are measured one by one, for the programs of these folders. */
#define _GNU_SOURCE
#include <time.h>

static inline long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* Accesses that the compiler neither moves nor leaves out, and that are plain all the same: a volatile pointer to an
 * object that is not declared sequential would make it so first. */
static inline char load_byte(const char *from)
{
    __asm__ volatile("" ::: "memory");
    char value = *from;
    __asm__ volatile("" : : "r"(value) : "memory");
    return value;
}

static inline void store_byte(char *to, char value)
{
    __asm__ volatile("" ::: "memory");
    *to = value;
    __asm__ volatile("" ::: "memory");
}

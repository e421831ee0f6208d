/* check.h - what every self-checking test includes. */
#include <stdio.h>
#include <string.h>
#include "umbel.h"

static int failures;
#define CHECK(condition) do { \
		if (!(condition)) { \
			__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED); \
			printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition); \
		} \
	} while (0)

/* Runs one thread of F and waits for it. */
#define ONE_THREAD(f, argument) do { CHECK(dist_thr_create(f, argument) != 0); dist_thr_join_all(); } while (0)

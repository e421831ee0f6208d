/* What the test programs share: a failed check says where, and ends the job with status 1. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: node %d: %s does not hold\n", __FILE__, __LINE__, dist_thr_node(), #condition); \
			exit(1); \
		} \
	} while (0)

/* Two integers that must be equal; shows both. */
#define CHECK_EQ(got, expected) \
	do { \
		long got_ = (long)(got), expected_ = (long)(expected); \
		if (got_ != expected_) { \
			fprintf(stderr, "%s:%d: node %d: %s is %ld, not %ld\n", __FILE__, __LINE__, dist_thr_node(), #got, got_, expected_); \
			exit(1); \
		} \
	} while (0)

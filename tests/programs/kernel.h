/* What the kernels share: arguments, shares of the work, random numbers, waiting for a flag, the verdict.
 *
 * A kernel runs on THREADS threads (first argument; default: one for each node), computes the same in plain
 * serial C, and prints one line that ends in "verified", or says what is wrong and ends with status 1. */
#include "check.h"
#include <math.h>
#include <sched.h>

/* The integer argument of that number, or a default. */
static inline long argument(int argc, char **argv, int number, long otherwise)
{
	return number < argc ? atol(argv[number]) : otherwise;
}

/* Where the share of one thread begins; it ends where the next one's begins. */
static inline long share(long count, int thread, int threads)
{
	return count * thread / threads;
}

/* SplitMix64: G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014. */
static inline unsigned long random_bits(unsigned long *state)
{
	unsigned long bits = *state += 0x9e3779b97f4a7c15;
	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
	return bits ^ bits >> 31;
}

/* 0 to 1, without 1. */
static inline double random_unit(unsigned long *state)
{
	return (random_bits(state) >> 11) * 0x1p-53;
}

/* Private memory of so many bytes, zero. */
static inline void *private_bytes(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);
	CHECK(memory);
	return memory;
}

/* Called between two looks at a flag: leaves the processor to whoever will raise it. */
static inline void wait_a_little(int looks)
{
	if (looks < 64)
		sched_yield();
	else
		usleep(50);
}

/* Threads 0 to THREADS - 1 on the nodes in turn, until all have ended. */
static inline void run_threads(int threads, void (*work)(int))
{
	for (int thread = 0; thread < threads; thread++)
		CHECK(dist_thr_create(work, thread));
	CHECK_EQ(dist_thr_join_all(), 0);
}

static inline int verified(const char *kernel, int threads)
{
	printf("%s: %d threads on %d nodes: verified\n", kernel, threads, dist_node_count());
	return 0;
}

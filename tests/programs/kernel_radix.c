/* kernel_radix [THREADS [KEYS]]: radix sort of 32-bit keys.
 *
 * Pattern: scattered writes, prone to false sharing. Algorithm: least significant digit first, each pass a parallel
 * counting sort; M. Zagha, G. Blelloch, Radix sort for vector multiprocessors, 1991, as the old suites' radix programs.
 *
 * In each pass every thread writes a run of keys for each digit, so nearly every page has several writers at once,
 * each of other bytes.
 *
 * Checked: the order that qsort gives. */
#include "kernel.h"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, PASSES = 32 / DIGIT_BITS };

static int ascending(const void *left, const void *right)
{
	unsigned a = *(const unsigned *)left, b = *(const unsigned *)right;
	return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	long count = argument(argc, argv, 2, 20000);
	unsigned keys[2][count];
	int histogram[threads][DIGITS];
	dist_barrier_t barrier;

	void work(int thread)
	{
		long first = share(count, thread, threads), last = share(count, thread + 1, threads);
		for (int pass = 0; pass < PASSES; pass++) {
			unsigned *from = keys[pass % 2], *to = keys[(pass + 1) % 2];
			int shift = pass * DIGIT_BITS;
			memset(histogram[thread], 0, sizeof histogram[thread]);
			for (long i = first; i < last; i++)
				histogram[thread][from[i] >> shift & (DIGITS - 1)]++;
			dist_barrier_wait(&barrier);
			/* Behind all smaller digits, and behind the same digit of earlier threads. */
			long place[DIGITS], sum = 0;
			for (int digit = 0; digit < DIGITS; digit++)
				for (int i = 0; i < threads; i++) {
					if (i == thread)
						place[digit] = sum;
					sum += histogram[i][digit];
				}
			for (long i = first; i < last; i++)
				to[place[from[i] >> shift & (DIGITS - 1)]++] = from[i];
			dist_barrier_wait(&barrier);
		}
	}

	CHECK(threads >= 1 && count >= 1);
	unsigned *reference = private_bytes(count * sizeof *reference);
	unsigned long random = 2;
	for (long i = 0; i < count; i++)
		reference[i] = keys[0][i] = random_bits(&random);
	dist_barrier_init(&barrier, 0, threads);
	run_threads(threads, work);

	qsort(reference, count, sizeof *reference, ascending);
	for (long i = 0; i < count; i++)
		CHECK_EQ(keys[PASSES % 2][i], reference[i]);
	return verified("radix", threads);
}

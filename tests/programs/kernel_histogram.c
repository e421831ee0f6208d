/* kernel_histogram [THREADS [BYTES]]: how often each byte occurs, counted in three ways at once.
 *
 * Patterns: contended counters (_Atomic bins), a reduction under locks, and bytes of one object written by all
 * threads, each its own (a flag for each value seen; thread t decides on the values t, t + THREADS, ...).
 * Algorithm: none but counting; the three ways are those of the usual lecture on histograms.
 *
 * Checked: the serial counts. */
#include "kernel.h"

enum { VALUES = 256, STRIPES = 7 };

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	long count = argument(argc, argv, 2, 4000);
	unsigned char bytes[count], is_frequent[VALUES];
	_Atomic int bins[VALUES];
	_Atomic int done = 0;
	int locked_bins[VALUES];
	dist_mutex_t stripes[STRIPES];
	dist_barrier_t barrier;

	void work(int thread)
	{
		int own[VALUES] = { 0 };
		for (long i = share(count, thread, threads); i < share(count, thread + 1, threads); i++) {
			own[bytes[i]]++;
			if (i % 16 == 0)
				bins[bytes[i]]++;
		}
		for (int i = 0; i < STRIPES; i++) {
			int stripe = (i + thread) % STRIPES;
			dist_mutex_lock(&stripes[stripe]);
			for (int value = stripe; value < VALUES; value += STRIPES)
				locked_bins[value] += own[value];
			dist_mutex_unlock(&stripes[stripe]);
		}
		done++;
		for (int looks = 0; done < threads; looks++)
			wait_a_little(looks);
		for (int value = thread; value < VALUES; value += threads)
			is_frequent[value] = locked_bins[value] > count / VALUES;
		dist_barrier_wait(&barrier);
		/* Everybody sees everybody's bytes. */
		for (int value = 0; value < VALUES; value++)
			CHECK_EQ(is_frequent[value], locked_bins[value] > count / VALUES);
	}

	CHECK(threads >= 1 && count >= 1);
	dist_barrier_init(&barrier, 0, threads);
	unsigned long random = 7;
	for (long i = 0; i < count; i++)
		bytes[i] = random_unit(&random) * random_unit(&random) * VALUES;
	memset(is_frequent, 77, sizeof is_frequent);
	memset(locked_bins, 0, sizeof locked_bins);
	for (int value = 0; value < VALUES; value++)
		bins[value] = 0;
	for (int stripe = 0; stripe < STRIPES; stripe++)
		CHECK_EQ(dist_mutex_init(&stripes[stripe], 0), 0);
	run_threads(threads, work);

	int reference[VALUES] = { 0 }, sixteenth[VALUES] = { 0 };
	for (long i = 0; i < count; i++) {
		reference[bytes[i]]++;
		sixteenth[bytes[i]] += i % 16 == 0;
	}
	for (int value = 0; value < VALUES; value++) {
		CHECK_EQ(locked_bins[value], reference[value]);
		CHECK_EQ(bins[value], sixteenth[value]);
		CHECK_EQ(is_frequent[value], reference[value] > count / VALUES);
	}
	return verified("histogram", threads);
}

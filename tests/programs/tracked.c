/* tracked [MIB [PERCENT [PHASES]]]: an array that every node writes sparsely between barriers, and checks.
 *
 * Each phase every thread writes its share of the chosen pages, a few longs of each (neighbours write the same page),
 * and after the barrier reads what another thread wrote. At the end one long is used through a pointer to volatile,
 * which makes its page sequential. */
#include <sched.h>
#include "check.h"

enum { PAGE_LONGS = 4096 / sizeof(long) };

static long value(long page, int thread, int phase)
{
	return page * 1000003 + thread * 1009 + phase;
}

int main(int argc, char **argv)
{
	long mib = argc > 1 ? atol(argv[1]) : 64, percent = argc > 2 ? atol(argv[2]) : 1;
	int phases = argc > 3 ? atoi(argv[3]) : 5, threads = dist_node_count();
	long pages = mib << 8, step = 100 / percent;
	long array[pages * PAGE_LONGS];
	dist_barrier_t barrier;

	void work(int thread)
	{
		long sum = 0;
		for (long page = 0; page < pages; page++)
			sum += array[page * PAGE_LONGS];
		CHECK_EQ(sum, 0);
		dist_barrier_wait(&barrier);
		for (int phase = 0; phase < phases; phase++) {
			for (long page = phase % step; page < pages; page += step)
				array[page * PAGE_LONGS + 8 + thread] = value(page, thread, phase);
			dist_barrier_wait(&barrier);
			int other = (thread + 1) % threads;
			for (long page = phase % step; page < pages; page += step)
				CHECK_EQ(array[page * PAGE_LONGS + 8 + other], value(page, other, phase));
			dist_barrier_wait(&barrier);
		}
		volatile long *count = &array[3 * PAGE_LONGS + 100];
		for (int turn = 0; turn < 20; turn++) {
			while (*count % threads != thread)
				sched_yield();
			CHECK_EQ(*count / threads, turn);
			*count = *count + 1;
		}
	}

	for (long page = 0; page < pages; page++)
		for (int i = 0; i < PAGE_LONGS; i += 4)
			array[page * PAGE_LONGS + i] = 0;
	array[3 * PAGE_LONGS + 100] = 0;
	CHECK_EQ(dist_barrier_init(&barrier, NULL, threads), 0);
	for (int thread = 0; thread < threads; thread++)
		CHECK(dist_thr_create_on(thread, work, thread));
	dist_thr_join_all();
	CHECK_EQ(array[3 * PAGE_LONGS + 100], 20 * threads);
	CHECK_EQ(dist_barrier_destroy(&barrier), 0);
	return 0;
}

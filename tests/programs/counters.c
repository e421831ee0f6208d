/* counters SECONDS: every node increments the same counters in three ways until time is over; none may be lost. */
#include <time.h>
#include "check.h"

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	double seconds = atof(argv[1]);
	int nodes = dist_node_count();
	_Atomic long operator = 0;
	long fetch_add = 0;
	_Atomic long exchanged = 0;
	long done[64] = { 0 };

	void worker(int rank)
	{
		double end = now() + seconds;
		long count = 0;
		while (now() < end)
			for (int i = 0; i < 4; i++, count++) {
				operator++;
				__atomic_fetch_add(&fetch_add, 1, __ATOMIC_SEQ_CST);
				long seen = exchanged;
				while (!atomic_compare_exchange_weak(&exchanged, &seen, seen + 1))
					;
			}
		done[rank] = count;
	}

	for (int rank = 0; rank < nodes; rank++)
		CHECK(dist_thr_create_on(rank, worker, rank));
	dist_thr_join_all();
	long sum = 0;
	for (int rank = 0; rank < nodes; rank++) {
		CHECK(done[rank] > 0);
		sum += done[rank];
	}
	CHECK_EQ(operator, sum);
	CHECK_EQ(fetch_add, sum);
	CHECK_EQ(exchanged, sum);
	printf("%ld increments\n", sum);
	return 0;
}

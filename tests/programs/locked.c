/* locked ROUNDS: plain increments under a mutex from all nodes, and each node's own variable among
 * neighbours; nothing is lost. */
#include "check.h"

int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	int nodes = dist_node_count();
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	long shared = 0;
	int a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
	int near[64] = { 0 };

	void locked(int rank)
	{
		for (long i = 0; i < rounds; i++) {
			CHECK_EQ(dist_mutex_lock(&mutex), 0);
			shared++;
			CHECK_EQ(dist_mutex_unlock(&mutex), 0);
		}
	}
	void neighbours(int rank)
	{
		int *own[] = { &a, &b, &c, &d, &e, &f, &g, &h };
		for (long i = 0; i < rounds * 100; i++) {
			++*(volatile int *)own[rank % 8];
			++*(volatile int *)&near[rank];
		}
	}

	for (int rank = 0; rank < nodes; rank++) {
		CHECK(dist_thr_create_on(rank, locked, rank));
		if (rank < 8)
			CHECK(dist_thr_create_on(rank, neighbours, rank));
	}
	dist_thr_join_all();
	CHECK_EQ(shared, rounds * nodes);
	int own[] = { a, b, c, d, e, f, g, h };
	for (int rank = 0; rank < nodes && rank < 8; rank++) {
		CHECK_EQ(own[rank], rounds * 100);
		CHECK_EQ(near[rank], rounds * 100);
	}
	printf("%ld locked\n", shared);
	return 0;
}

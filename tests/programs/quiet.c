/* quiet ROUNDS: one node increments a counter under a mutex whose home it is; the others have read the counter, so
 * they have copies of it.  Nobody waits for them, so nobody need be told. */
#include "check.h"

int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	int nodes = dist_node_count();
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	dist_barrier_t barrier;
	long shared = 0;

	void locked(int rank)
	{
		CHECK_EQ(shared, 0);
		dist_barrier_wait(&barrier);
		if (rank == 0)
			for (long i = 0; i < rounds; i++) {
				CHECK_EQ(dist_mutex_lock(&mutex), 0);
				shared++;
				CHECK_EQ(dist_mutex_unlock(&mutex), 0);
			}
		dist_barrier_wait(&barrier);
		CHECK_EQ(shared, rounds);
	}

	CHECK_EQ(dist_barrier_init(&barrier, 0, nodes), 0);
	for (int rank = 0; rank < nodes; rank++)
		CHECK(dist_thr_create_on(rank, locked, rank));
	dist_thr_join_all();
	printf("%ld locked\n", shared);
	return 0;
}

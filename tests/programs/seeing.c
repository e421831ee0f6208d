/* seeing STEPS: a counter under a mutex, a table that is only read, an array of which each node writes an element
 * of its own, a barrier now and then. -1: forever. */
#include "check.h"

int main(int argc, char **argv)
{
	int steps = atoi(argv[1]);
	int nodes = dist_node_count();
	int table[64];
	long counter = 0;
	volatile long parts[64] = { 0 };
	dist_mutex_t mutex;
	dist_barrier_t barrier;

	void work(int rank)
	{
		for (int step = 0; step != steps; step++) {
			dist_mutex_lock(&mutex);
			counter += table[step & 63];
			dist_mutex_unlock(&mutex);
			parts[rank]++;
			if (step % 10 == 0)
				dist_barrier_wait(&barrier);
		}
	}

	for (int i = 0; i < 64; i++)
		table[i] = 1;
	CHECK_EQ(dist_mutex_init(&mutex, 0), 0);
	CHECK_EQ(dist_barrier_init(&barrier, 0, nodes), 0);
	for (int rank = 0; rank < nodes; rank++)
		CHECK(dist_thr_create_on(rank, work, rank));
	dist_thr_join_all();
	CHECK_EQ(counter, (long)steps * nodes);
	printf("%ld\n", counter);
	return 0;
}

/* baton STEPS: the nodes take turns at one counter, so that every increment is a migration; a plain
 * variable beside it goes along. */
#include <sched.h>
#include "check.h"

int main(int argc, char **argv)
{
	long steps = atol(argv[1]);
	int nodes = dist_node_count();
	_Atomic long turn = 0;
	long plain = 0;

	void player(int rank)
	{
		for (long mine = rank; mine < steps; mine += nodes) {
			while (turn != mine)
				sched_yield();
			plain++;
			turn++;
		}
	}

	for (int rank = 0; rank < nodes; rank++)
		CHECK(dist_thr_create_on(rank, player, rank));
	dist_thr_join_all();
	CHECK_EQ(turn, steps);
	CHECK_EQ(plain, steps);
	printf("%ld steps\n", steps);
	return 0;
}

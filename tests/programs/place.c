/* place TIMES: one thread of each node meets at a barrier until the nodes have a plan of it. Then another one, on each node in turn,
 * comes in the place of the last node's: the plan has none for it. Then all meet again, and the last node's destroys the
 * barrier, while others may not have heard yet that they may go on. */
#include "check.h"

enum { PLANNED = 6 };

int main(int argc, char **argv)
{
	int times = atoi(argv[1]), nodes = dist_node_count(), last = nodes - 1;
	_Atomic int serials = 0;
	long told[nodes];
	dist_barrier_t barrier;
	dist_sem_t may_go_on;

	void meet(void)
	{
		int result = dist_barrier_wait(&barrier);
		CHECK(result == 0 || result == DIST_BARRIER_SERIAL_THREAD);
		serials += result != 0;
	}

	void other(int unused)
	{
		(void)unused;
		meet();
		CHECK_EQ(dist_sem_post(&may_go_on), 0);
	}

	void player(int self, int time)
	{
		for (int round = 0; round < PLANNED; round++)
			meet();
		if (self == last) {
			CHECK(dist_thr_create_on(time % nodes, other, 0));
			CHECK_EQ(dist_sem_wait(&may_go_on), 0);
		} else {
			meet();
		}
		told[self] = time;
		meet();
		for (int each = 0; each < nodes; each++)
			CHECK_EQ(told[each], time);
		if (self == last)
			CHECK_EQ(dist_barrier_destroy(&barrier), 0);
	}

	memset(told, 0, sizeof told);
	CHECK_EQ(dist_sem_init(&may_go_on, 0, 0), 0);
	for (int time = 0; time < times; time++) {
		void play(int self) { player(self, time); }

		CHECK_EQ(dist_barrier_init(&barrier, 0, nodes), 0);
		for (int self = 0; self < nodes; self++)
			CHECK(dist_thr_create_on(self, play, self));
		dist_thr_join_all();
	}
	CHECK_EQ(serials, (PLANNED + 2) * times);
	CHECK_EQ(dist_sem_destroy(&may_go_on), 0);
	printf("%d times\n", times);
	return 0;
}

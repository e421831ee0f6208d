/* meet ROUNDS THREADS HOW: THREADS threads on each node meet ROUNDS times at a barrier.
 * quiet: they do nothing else. seeing: each tells its round before, and sees everybody's after.
 * strays: the barrier lets half of them go on, whoever comes first, so often. */
#include "check.h"

int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	int per_node = atoi(argv[2]), nodes = dist_node_count();
	int seeing = !strcmp(argv[3], "seeing"), strays = !strcmp(argv[3], "strays");
	int count = nodes * per_node;
	long told[count];
	int met = strays ? count / 2 : count;
	_Atomic long serials = 0, tickets = 0;
	dist_barrier_t barrier;

	int meet(void)
	{
		int result = dist_barrier_wait(&barrier);
		CHECK(result == 0 || result == DIST_BARRIER_SERIAL_THREAD);
		return result != 0;
	}

	void player(int self)
	{
		long serial = 0;
		while (strays && tickets++ < rounds * met)
			serial += meet();
		for (long round = 1; !strays && round <= rounds; round++) {
			if (seeing)
				told[self] = round;
			serial += meet();
			for (int other = 0; seeing && other < count; other++)
				CHECK_EQ(told[other], round);
			if (seeing)
				serial += meet();
		}
		serials += serial;
	}

	memset(told, 0, sizeof told);
	CHECK_EQ(dist_barrier_init(&barrier, 0, met), 0);
	for (int self = 0; self < count; self++)
		CHECK(dist_thr_create_on(self % nodes, player, self));
	dist_thr_join_all();
	CHECK_EQ(serials, seeing ? 2 * rounds : rounds);
	CHECK_EQ(dist_barrier_destroy(&barrier), 0);
	printf("%ld rounds\n", rounds);
	return 0;
}

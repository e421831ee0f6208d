/* atomics ROUNDS: atomic operations that run at their object's home, and such through pointers, which make the objects
 * that they find sequential; every increment counts. */
#include "check.h"

/* The compiler knows nothing of the object. */
static void __attribute__((noinline)) bump(long *place)
{
	__atomic_fetch_add(place, 1, __ATOMIC_SEQ_CST);
}

static void __attribute__((noinline)) announce(volatile long *flag, long value)
{
	*flag = value;
}

static long __attribute__((noinline)) look(volatile long *flag)
{
	return *flag;
}

static void on_all(void (*body)(int))
{
	for (int rank = 0; rank < dist_node_count(); rank++)
		CHECK(dist_thr_create_on(rank, body, rank));
	dist_thr_join_all();
}

static void remote(long rounds)
{
	int nodes = dist_node_count();
	_Atomic long hits __attribute__((shadow("remote"))) = 0;
	_Atomic int narrow __attribute__((shadow("remote"))) = -5;
	unsigned char bytes[8] __attribute__((shadow("remote"))) = { 250, 0, 99 };
	_Atomic long extreme __attribute__((shadow("remote"))) = 0;
	void worker(int rank)
	{
		long last = 0;
		for (long i = 0; i < rounds; i++) {
			long before = atomic_fetch_add(&hits, 1);
			CHECK(before >= last && before < rounds * nodes);
			last = before + 1;
			CHECK(hits >= last);
			narrow++;
			__atomic_fetch_add(&bytes[1], 1, __ATOMIC_SEQ_CST);
		}
		/* Every bit of a result arrives. */
		if (rank == nodes - 1) {
			extreme = (long)1 << 63;
			CHECK_EQ(extreme, (long)1 << 63);
			CHECK_EQ(atomic_fetch_sub(&extreme, 1), (long)1 << 63);
			CHECK_EQ(extreme, ~0ul >> 1);
			long expected = 5;
			CHECK(!atomic_compare_exchange_strong(&extreme, &expected, 6));
			CHECK(atomic_compare_exchange_strong(&extreme, &expected, 6));
			CHECK_EQ(extreme, 6);
		}
	}
	on_all(worker);
	CHECK_EQ(hits, rounds * nodes);
	CHECK_EQ(narrow, rounds * nodes - 5);
	CHECK_EQ(bytes[0], 250);
	CHECK_EQ(bytes[1], (unsigned char)(rounds * nodes));
	CHECK_EQ(bytes[2], 99);
}

static void by_pointer(long rounds)
{
	int nodes = dist_node_count();
	long one = 0, cells[1000] = { 0 };
	void worker(int rank)
	{
		for (long i = 0; i < rounds; i++) {
			bump(&one);
			bump(&cells[(i * 37 + rank) % 1000]);
		}
	}
	on_all(worker);
	CHECK_EQ(one, rounds * nodes);
	long sum = 0;
	for (int i = 0; i < 1000; i++)
		sum += cells[i];
	CHECK_EQ(sum, rounds * nodes);
}

/* The same address again and again: each new object is weak until a pointer finds it. */
static void one_life(int life)
{
	int nodes = dist_node_count();
	long total = 0, data[20], flag = 0;
	void counter(int rank)
	{
		for (int i = 0; i < 5; i++)
			bump(&total);
	}
	void writer(int unused)
	{
		for (int i = 0; i < 20; i++)
			data[i] = life + i;
		announce(&flag, 1);
	}
	void reader(int unused)
	{
		while (!look(&flag))
			usleep(10);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(data[i], life + i);
	}
	on_all(counter);
	CHECK_EQ(total, 5 * nodes);
	CHECK(dist_thr_create_on(life % nodes, reader, 0));
	CHECK(dist_thr_create_on((life + 1) % nodes, writer, 0));
	dist_thr_join_all();
}

int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	remote(rounds);
	by_pointer(rounds);
	for (int life = 0; life < rounds / 10; life++)
		one_life(life);
	printf("atomics agree\n");
	return 0;
}

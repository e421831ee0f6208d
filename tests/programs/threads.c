/* threads: creation, ends and names of threads, from any node at any depth. */
#include "check.h"

static void ordinary(long value)
{
	/* Its node's own global memory only: nothing to share. */
	CHECK_EQ(value, -5);
}

static void pointed(long *where)
{
	__atomic_fetch_add(where, dist_thr_node() + 1, __ATOMIC_SEQ_CST);
}

static void typed(void)
{
	int nodes = dist_node_count();
	long sum = 0;
	void by_int(int value) { __atomic_fetch_add(&sum, value, __ATOMIC_SEQ_CST); }
	void by_long(long value) { __atomic_fetch_add(&sum, value, __ATOMIC_SEQ_CST); }
	void by_unsigned(unsigned value) { __atomic_fetch_add(&sum, value, __ATOMIC_SEQ_CST); }
	void by_char(signed char value) { __atomic_fetch_add(&sum, value, __ATOMIC_SEQ_CST); }
	void by_pointer(long *value) { __atomic_fetch_add(value, 1000, __ATOMIC_SEQ_CST); }

	CHECK(dist_thr_create_on(nodes - 1, by_int, -7));
	CHECK(dist_thr_create_on(nodes - 1, by_long, 1L << 40));
	CHECK(dist_thr_create_on(nodes - 1, by_unsigned, 3000000000u));
	CHECK(dist_thr_create_on(nodes - 1, by_char, -3));
	CHECK(dist_thr_create_on(nodes - 1, by_pointer, &sum));
	CHECK(dist_thr_create_on(nodes - 1, ordinary, -5));
	CHECK(dist_thr_create_on(nodes - 1, pointed, &sum));
	dist_thr_join_all();
	CHECK_EQ(sum, -7 + (1L << 40) + 3000000000l - 3 + 1000 + nodes);
}

/* Pointers to thread functions in variables, tables and structures; nested and ordinary ones. */
static void by_variable(void)
{
	int nodes = dist_node_count();
	int hits[3] = { 0 };
	long places = 0;
	void first(int i) { __atomic_fetch_add(&hits[i], places == 0, __ATOMIC_SEQ_CST); }
	void second(int i) { __atomic_fetch_add(&hits[i], 10, __ATOMIC_SEQ_CST); }
	struct { void (*function)(int); } table[] = { { first }, { second }, { first } };
	void (*plain)(long *) = pointed;

	for (int i = 0; i < 3; i++)
		CHECK(dist_thr_create(table[i].function, i));
	dist_thr_join_all();
	CHECK(dist_thr_create_on(nodes - 1, plain, &places));
	dist_thr_join_all();
	CHECK_EQ(hits[0], 1);
	CHECK_EQ(hits[1], 10);
	CHECK_EQ(hits[2], 1);
	CHECK_EQ(places, nodes);
}

static void round_robin(void)
{
	int nodes = dist_node_count();
	int ran_on[64] = { 0 };
	void note(int unused) { __atomic_fetch_add(&ran_on[dist_thr_node()], 1, __ATOMIC_SEQ_CST); }
	for (int i = 0; i < 3 * nodes; i++)
		CHECK(dist_thr_create(note, i));
	dist_thr_join_all();
	for (int node = 0; node < nodes; node++)
		CHECK_EQ(ran_on[node], 3);
}

/* A tree of threads, each level on other nodes; all see the root's and their fathers' locals. */
static void tree(void)
{
	int nodes = dist_node_count();
	enum { DEPTH = 4, WIDTH = 3 };
	long leaves = 0, inner = 0;
	void grow(int depth)
	{
		long mine = 0;
		if (depth == DEPTH) {
			__atomic_fetch_add(&leaves, 1, __ATOMIC_SEQ_CST);
			return;
		}
		void child(int number)
		{
			CHECK(number < WIDTH);
			__atomic_fetch_add(&mine, 1, __ATOMIC_SEQ_CST);
			grow(depth + 1);
		}
		for (int i = 0; i < WIDTH; i++)
			CHECK(dist_thr_create_on((depth + i) % nodes, child, i));
		dist_thr_join_all();
		CHECK_EQ(mine, WIDTH);
		__atomic_fetch_add(&inner, 1, __ATOMIC_SEQ_CST);
	}
	grow(0);
	CHECK_EQ(leaves, 81);
	CHECK_EQ(inner, 1 + 3 + 9 + 27);
}

/* A chain of threads, each created by the one before. */
static void chain(void)
{
	int nodes = dist_node_count();
	long length = 0;
	void next(int left)
	{
		__atomic_fetch_add(&length, 1, __ATOMIC_SEQ_CST);
		if (left)
			CHECK(dist_thr_create_on((dist_thr_node() + 1) % nodes, next, left - 1));
	}
	CHECK(dist_thr_create(next, 30));
	dist_thr_join_all();
	/* No thread ends before its children: all have run. */
	CHECK_EQ(length, 31);
}

static void names(void)
{
	int nodes = dist_node_count();
	dist_thr_t reported[8] = { 0 }, created[8];
	int release = 0;
	void note(int i) { reported[i] = dist_thr_self(); }
	void stay(int unused)
	{
		while (!__atomic_load_n(&release, __ATOMIC_SEQ_CST))
			usleep(100);
	}
	for (int i = 0; i < 8; i++) {
		created[i] = dist_thr_create_on(i % nodes, note, i);
		CHECK(created[i]);
		for (int j = 0; j < i; j++)
			CHECK(created[i] != created[j]);
	}
	for (int i = 0; i < 8; i++)
		CHECK_EQ(dist_thr_join(created[i]), 0);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(reported[i], created[i]);
		CHECK_EQ(dist_thr_join(created[i]), ESRCH);
	}
	CHECK_EQ(dist_thr_self(), dist_thr_self());
	CHECK_EQ(dist_thr_join(dist_thr_self()), EDEADLK);
	CHECK_EQ(dist_thr_join(0), ESRCH);
	CHECK_EQ(dist_thr_join(~0ul), ESRCH);
	CHECK_EQ(dist_thr_join(created[7] + 1000), ESRCH);

	/* No such node. */
	errno = 0;
	CHECK_EQ(dist_thr_create_on(nodes, note, 0), 0);
	CHECK_EQ(errno, EINVAL);
	errno = 0;
	CHECK_EQ(dist_thr_create_on(-2, note, 0), 0);
	CHECK_EQ(errno, EINVAL);
	errno = 0;
	CHECK_EQ(dist_thr_create_on(100000, note, 0), 0);
	CHECK_EQ(errno, EINVAL);

	/* A thread can't join itself, its creator, or main. */
	dist_thr_t top = dist_thr_self();
	void grandchild(long father)
	{
		CHECK_EQ(dist_thr_join(dist_thr_self()), EDEADLK);
		CHECK_EQ(dist_thr_join((dist_thr_t)father), EDEADLK);
		CHECK_EQ(dist_thr_join(top), EDEADLK);
	}
	void father(int unused)
	{
		CHECK(dist_thr_create_on(nodes - 1, grandchild, (long)dist_thr_self()));
		CHECK(dist_thr_create_on(0, grandchild, (long)dist_thr_self()));
	}
	CHECK_EQ(dist_thr_join(dist_thr_create_on(nodes / 2, father, 0)), 0);

	/* Any thread may join any other, but one only. */
	dist_thr_t waited = dist_thr_create_on(nodes - 1, stay, 0);
	int results[2] = { -1, -1 };
	void joiner(int i) { results[i] = dist_thr_join(waited); }
	dist_thr_t joiners[2];
	for (int i = 0; i < 2; i++)
		joiners[i] = dist_thr_create_on(i % nodes, joiner, i);
	while (__atomic_load_n(&results[0], __ATOMIC_SEQ_CST) == -1 && __atomic_load_n(&results[1], __ATOMIC_SEQ_CST) == -1)
		usleep(100);
	__atomic_store_n(&release, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(dist_thr_join(joiners[i]), 0);
	CHECK((results[0] == 0 && results[1] == ESRCH) || (results[1] == 0 && results[0] == ESRCH));
	CHECK_EQ(dist_thr_join(waited), ESRCH);
	CHECK_EQ(dist_thr_join_all(), 0);
	CHECK_EQ(dist_thr_join_all(), 0);
}

/* The function whose local a thread can reach waits for it; it joins nobody. */
static void returns_early(long *result, dist_barrier_t *meeting)
{
	long local = 1;
	void slow(int node)
	{
		CHECK(dist_barrier_wait(meeting) != EINVAL);
		for (int i = 0; i < 50; i++) {
			__atomic_fetch_add(&local, 1, __ATOMIC_SEQ_CST);
			usleep(200);
		}
		__atomic_fetch_add(result, local, __ATOMIC_SEQ_CST);
	}
	CHECK(dist_thr_create_on(dist_node_count() - 1, slow, 0));
	CHECK(dist_barrier_wait(meeting) != EINVAL);
	if (local)
		return;
}

static void dependency(void)
{
	long result = 0;
	dist_barrier_t meeting;
	/* A thread uses it, so that it means the same on every node. */
	void prepare(int unused) { CHECK_EQ(dist_barrier_init(&meeting, 0, 2), 0); }
	CHECK(dist_thr_create_on(dist_node_count() - 1, prepare, 0));
	dist_thr_join_all();
	for (int i = 1; i <= 5; i++) {
		returns_early(&result, &meeting);
		CHECK_EQ(result, 51 * i);
	}
	/* The same by every way out of a block. */
	for (int i = 0; i < 6; i++) {
		long block = 0;
		void late(int unused)
		{
			usleep(2000);
			__atomic_store_n(&block, 1, __ATOMIC_SEQ_CST);
			__atomic_fetch_add(&result, 1, __ATOMIC_SEQ_CST);
		}
		CHECK(dist_thr_create_on(dist_node_count() - 1, late, 0));
		if (i % 3 == 0)
			continue;
		if (i % 3 == 1)
			goto out;
	out:;
	}
	dist_thr_join_all();
	CHECK_EQ(result, 51 * 5 + 6);
}

/* Frames and threads in turn, twelve levels down. */
static void deep(int level, int *reached)
{
	int here = level;
	void child(int unused)
	{
		CHECK_EQ(here, level);
		if (level < 12)
			deep(level + 1, reached);
		else
			*reached = here;
	}
	CHECK(dist_thr_create(child, 0));
}

static void exits(void)
{
	int after = 0, before = 0, child_done = 0;
	void leaves(int unused)
	{
		void inner(int unused) { usleep(3000); __atomic_store_n(&child_done, 1, __ATOMIC_SEQ_CST); }
		CHECK(dist_thr_create(inner, 0));
		before = 1;
		dist_thr_exit();
		after = 1;
	}
	for (int node = 0; node < dist_node_count(); node++) {
		before = child_done = 0;
		CHECK_EQ(dist_thr_join(dist_thr_create_on(node, leaves, 0)), 0);
		CHECK_EQ(before, 1);
		CHECK_EQ(after, 0);
		CHECK_EQ(child_done, 1);
	}
}

/* Threads of the program's own making use shared objects and create threads, on any node. */
static void foreign(void)
{
	long sum = 0;
	void host(int unused)
	{
		long local = 0;
		void add(int amount)
		{
			__atomic_fetch_add(&local, amount, __ATOMIC_SEQ_CST);
			__atomic_fetch_add(&sum, amount, __ATOMIC_SEQ_CST);
		}
		void *body(void *argument)
		{
			add(1);
			long own = 0;
			void remote(int amount) { __atomic_fetch_add(&own, amount, __ATOMIC_SEQ_CST); add(amount); }
			CHECK(dist_thr_self() != 0);
			CHECK(dist_thr_create(remote, 10));
			CHECK(dist_thr_create_on(0, remote, 100));
			dist_thr_join_all();
			CHECK_EQ(own, 110);
			return argument;
		}
		pthread_t threads[3];
		for (int i = 0; i < 3; i++)
			CHECK_EQ(pthread_create(&threads[i], 0, body, (void *)(long)(i + 1)), 0);
		for (int i = 0; i < 3; i++) {
			void *result;
			CHECK_EQ(pthread_join(threads[i], &result), 0);
			CHECK_EQ((long)result, i + 1);
		}
		CHECK_EQ(local, 333);
	}
	for (int node = 0; node < dist_node_count(); node++)
		CHECK(dist_thr_create_on(node, host, 0));
	dist_thr_join_all();
	CHECK_EQ(sum, 333 * dist_node_count());
}

int main(void)
{
	int reached = 0;
	void begin(int value) { reached = value; }
	CHECK_EQ(dist_thr_join(dist_thr_create(begin, 1)), 0);
	typed();
	by_variable();
	round_robin();
	tree();
	chain();
	names();
	dependency();
	deep(0, &reached);
	CHECK_EQ(reached, 12);
	exits();
	foreign();
	printf("threads agree\n");
	return 0;
}

/* weak CASE [ROUNDS]: what release consistency promises a program without data races, one way of synchronizing
 * in each case. Run on 3 or more nodes. */
#include "check.h"
#include <sched.h>

enum { PARTS = 3, BYTES = 64, LARGE = 10000 };

static int rounds = 20;

/* Each thread counts in every third byte, without a word to the others until the end. */
static void disjoint_bytes(void)
{
	unsigned char small[BYTES], large[LARGE];
	void count(int part)
	{
		for (int round = 0; round < rounds; round++) {
			for (int i = part; i < BYTES; i += PARTS)
				small[i]++;
			for (int i = part; i < LARGE; i += PARTS)
				large[i]++;
			if (round % 4 == part)
				usleep(200);
		}
	}
	memset(small, 0, sizeof small);
	memset(large, 0, sizeof large);
	for (int part = 0; part < PARTS; part++)
		CHECK(dist_thr_create_on(part, count, part));
	dist_thr_join_all();
	for (int i = 0; i < BYTES; i++)
		CHECK_EQ(small[i], rounds);
	for (int i = 0; i < LARGE; i++)
		CHECK_EQ(large[i], (unsigned char)rounds);
}

/* Bytes side by side, each under a mutex of its own that several threads take. */
static void bytes_under_locks(void)
{
	unsigned char sums[BYTES];
	dist_mutex_t locks[BYTES];
	void count(int part)
	{
		for (int round = 0; round < rounds; round++)
			for (int i = 0; i < BYTES; i += 7) {
				int at = (i + part * 21) % BYTES;
				dist_mutex_lock(&locks[at]);
				sums[at]++;
				dist_mutex_unlock(&locks[at]);
			}
	}
	memset(sums, 0, sizeof sums);
	memset(locks, 0, sizeof locks);
	for (int part = 0; part < PARTS; part++)
		CHECK(dist_thr_create_on(part, count, part));
	dist_thr_join_all();
	int total = 0;
	for (int i = 0; i < BYTES; i++)
		total += sums[i];
	CHECK_EQ(total, PARTS * rounds * ((BYTES + 6) / 7));
}

/* What one thread wrote reaches the third through the second, which never touches it: by locks, then by semaphores. */
static void through_a_third(void)
{
	int data[BYTES], stage = 0;
	dist_mutex_t first = DIST_MUTEX_INITIALIZER, second = DIST_MUTEX_INITIALIZER;
	int passed = 0;
	dist_sem_t one, two, back;
	int locked(dist_mutex_t *mutex, int *value)
	{
		dist_mutex_lock(mutex);
		int seen = *value;
		dist_mutex_unlock(mutex);
		return seen;
	}
	void part(int number)
	{
		for (int round = 1; round <= rounds; round++) {
			if (number == 0) {
				for (int i = 0; i < BYTES; i++)
					data[i] = round * i;
				dist_mutex_lock(&first);
				stage = round;
				dist_mutex_unlock(&first);
				dist_sem_wait(&back);
				data[0] = -round;
				dist_sem_post(&one);
				dist_sem_wait(&back);
			} else if (number == 1) {
				while (locked(&first, &stage) < round)
					usleep(50);
				dist_mutex_lock(&second);
				passed = round;
				dist_mutex_unlock(&second);
				dist_sem_wait(&one);
				dist_sem_post(&two);
			} else {
				while (locked(&second, &passed) < round)
					usleep(50);
				for (int i = 0; i < BYTES; i++)
					CHECK_EQ(data[i], round * i);
				dist_sem_post(&back);
				dist_sem_wait(&two);
				CHECK_EQ(data[0], -round);
				dist_sem_post(&back);
			}
		}
	}
	dist_sem_init(&one, 0, 0);
	dist_sem_init(&two, 0, 0);
	dist_sem_init(&back, 0, 0);
	for (int number = 0; number < PARTS; number++)
		CHECK(dist_thr_create_on(number, part, number));
	dist_thr_join_all();
}

/* Flags of every kind that announce plain data: _Atomic, with release and acquire, relaxed with fences, volatile. */
static void flags(void)
{
	int data[4][BYTES];
	_Atomic int plain_flag = 0, ordered_flag = 0, fenced_flag = 0;
	volatile int volatile_flag = 0;
	_Atomic int seen = 0;
	int is_up(int kind, int round)
	{
		switch (kind) {
		case 0: return plain_flag >= round;
		case 1: return atomic_load_explicit(&ordered_flag, memory_order_acquire) >= round;
		case 2: return atomic_load_explicit(&fenced_flag, memory_order_relaxed) >= round;
		default: return volatile_flag >= round;
		}
	}
	void raise(int kind, int round)
	{
		switch (kind) {
		case 0: plain_flag = round; break;
		case 1: atomic_store_explicit(&ordered_flag, round, memory_order_release); break;
		case 2:
			atomic_thread_fence(memory_order_release);
			atomic_store_explicit(&fenced_flag, round, memory_order_relaxed);
			break;
		default:
			__asm__ volatile("" ::: "memory");
			volatile_flag = round;
		}
	}
	void part(int number)
	{
		for (int round = 1; round <= rounds; round++)
			for (int kind = 0; kind < 4; kind++)
				if (number == (round + kind) % PARTS) {
					for (int i = 0; i < BYTES; i++)
						data[kind][i] = round + i;
					raise(kind, round);
					while (seen < ((round - 1) * 4 + kind + 1) * (PARTS - 1))
						sched_yield();
				} else {
					while (!is_up(kind, round))
						sched_yield();
					atomic_thread_fence(memory_order_acquire);
					for (int i = 0; i < BYTES; i++)
						CHECK_EQ(data[kind][i], round + i);
					seen++;
					while (seen < ((round - 1) * 4 + kind + 1) * (PARTS - 1))
						sched_yield();
				}
	}
	for (int number = 0; number < PARTS; number++)
		CHECK(dist_thr_create_on(number, part, number));
	dist_thr_join_all();
}

/* Creation tells the child, its end tells whoever joins it; a child's child on the first node in between. */
static void creation_and_end(void)
{
	long data[BYTES];
	void grandchild(int node)
	{
		for (int i = 0; i < BYTES; i++) {
			CHECK_EQ(data[i], i + 1 + node);
			data[i]++;
		}
	}
	void child(int node)
	{
		for (int i = 0; i < BYTES; i++)
			data[i] += node;
		CHECK(dist_thr_create_on(0, grandchild, node));
		dist_thr_join_all();
		for (int i = 0; i < BYTES; i++)
			data[i] *= 2;
	}
	for (int round = 0; round < rounds; round++) {
		int node = 1 + round % 2;
		for (int i = 0; i < BYTES; i++)
			data[i] = i + 1;
		CHECK_EQ(dist_thr_join(dist_thr_create_on(node, child, node)), 0);
		for (int i = 0; i < BYTES; i++)
			CHECK_EQ(data[i], 2 * (i + 2 + node));
	}
}

/* A local of a call that ends while other nodes still have written copies of it; its place is used again at once. */
static void ends_while_written(void)
{
	void call(int round)
	{
		unsigned char local[BYTES + round];
		void write(int part)
		{
			for (int i = part; i < BYTES; i += PARTS)
				local[i] = round + part;
		}
		memset(local, 255, sizeof local);
		for (int part = 0; part < PARTS; part++)
			CHECK(dist_thr_create_on(part, write, part));
		if (round % 2)
			return;         /* nobody waits but the end of the scope */
		dist_thr_join_all();
		for (int i = 0; i < BYTES; i++)
			CHECK_EQ(local[i], (unsigned char)(round + i % PARTS));
	}
	for (int round = 0; round < rounds; round++)
		call(round);
}

/* Two threads of one node and one of another, with locks that live on either: a lock that never leaves its node tells
 * nobody else, but the next synchronization does. */
static void local_locks(void)
{
	long sum = 0, copies[PARTS] = { 0 };
	dist_barrier_t barrier;
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	void part(int number)
	{
		for (int round = 1; round <= rounds; round++) {
			for (int i = 0; i < 10 && number < 2; i++) {
				dist_mutex_lock(&mutex);
				sum++;
				dist_mutex_unlock(&mutex);
			}
			dist_barrier_wait(&barrier);
			copies[number] = sum;
			CHECK_EQ(sum, round * 20);
			dist_barrier_wait(&barrier);
			CHECK_EQ(copies[(number + 1) % PARTS], round * 20);
		}
	}
	dist_barrier_init(&barrier, 0, PARTS);
	for (int away = 0; away < 2; away++) {
		sum = 0;
		for (int number = 0; number < PARTS; number++)
			CHECK(dist_thr_create_on(number < 2 ? away : 2, part, number));
		dist_thr_join_all();
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{ "disjoint_bytes", disjoint_bytes }, { "bytes_under_locks", bytes_under_locks }, { "through_a_third", through_a_third },
		{ "flags", flags }, { "creation_and_end", creation_and_end }, { "ends_while_written", ends_while_written },
		{ "local_locks", local_locks },
	};
	CHECK(argc >= 2);
	if (argc > 2)
		rounds = atoi(argv[2]);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return 0;
		}
	fprintf(stderr, "no case %s\n", argv[1]);
	return 2;
}

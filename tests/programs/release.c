/* release WAY ROUNDS: plain data handed from node to node, each time announced in one way; it must arrive. */
#include <fcntl.h>
#include <sched.h>
#include "check.h"

enum { WORDS = 700 };

/* The data: one small object, one of several pages, and neighbours that other nodes write at the same time. */
#define DATA \
	long small = 0; \
	long large[WORDS] = { 0 }; \
	int near[64] = { 0 }; \
	void put(long round) \
	{ \
		small = round; \
		for (int i = 0; i < WORDS; i += 50) \
			large[i] = round + i; \
		near[0] = round; \
	} \
	void look(long round) \
	{ \
		CHECK_EQ(small, round); \
		for (int i = 0; i < WORDS; i += 50) \
			CHECK_EQ(large[i], round + i); \
		CHECK_EQ(near[0], round); \
	} \
	int nodes = dist_node_count();

/* Each node in turn reads what the one before wrote, and writes. */
#define TURNS(wait, pass) \
	void player(int rank) \
	{ \
		for (long round = 0; round < rounds; round++) { \
			near[1 + rank] = round; \
			if (round % nodes != rank) \
				continue; \
			wait; \
			look(round); \
			put(round + 1); \
			pass; \
		} \
	} \
	put(0); \
	for (int rank = 0; rank < nodes; rank++) \
		CHECK(dist_thr_create_on(rank, player, rank)); \
	dist_thr_join_all(); \
	look(rounds); \
	for (int rank = 0; rank < nodes; rank++) \
		CHECK_EQ(near[1 + rank], rounds - 1);

static void by_atomic(long rounds)
{
	DATA
	_Atomic long turn = 0;
	TURNS(while (turn != round) sched_yield(), turn = round + 1)
}

static void by_release_and_acquire(long rounds)
{
	DATA
	_Atomic long turn = 0;
	TURNS(while (atomic_load_explicit(&turn, memory_order_acquire) != round) sched_yield(),
	      atomic_store_explicit(&turn, round + 1, memory_order_release))
}

static void by_exchange(long rounds)
{
	DATA
	_Atomic long turn = 0;
	void wait(long round)
	{
		long seen = round;
		while (!atomic_compare_exchange_weak(&turn, &seen, -1)) {
			seen = round;
			sched_yield();
		}
	}
	TURNS(wait(round), atomic_exchange(&turn, round + 1))
}

static void by_volatile(long rounds)
{
	DATA
	volatile long turn = 0;
	TURNS(while (turn != round) sched_yield(), turn = round + 1)
}

static void by_attribute(long rounds)
{
	DATA
	long turn __attribute__((shadow("sequential"))) = 0;
	/* The compiler must not keep it in a register; the object itself says nothing to the compiler. */
	TURNS(while (turn != round) { sched_yield(); __asm__ volatile("" ::: "memory"); }, turn = round + 1)
}

static void by_mutex(long rounds)
{
	DATA
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	long turn = 0;
	void wait(long round)
	{
		for (;;) {
			CHECK_EQ(dist_mutex_lock(&mutex), 0);
			if (turn == round)
				return;
			CHECK_EQ(dist_mutex_unlock(&mutex), 0);
			sched_yield();
		}
	}
	TURNS(wait(round), turn = round + 1; CHECK_EQ(dist_mutex_unlock(&mutex), 0))
}

static void by_semaphore(long rounds)
{
	DATA
	dist_sem_t sem[64];
	memset(sem, 0, sizeof sem);
	CHECK_EQ(dist_sem_post(&sem[0]), 0);
	TURNS(CHECK_EQ(dist_sem_wait(&sem[rank]), 0), CHECK_EQ(dist_sem_post(&sem[(rank + 1) % nodes]), 0))
}

static void by_condition(long rounds)
{
	DATA
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	dist_cond_t cond = DIST_COND_INITIALIZER;
	long turn = 0;
	void wait(long round)
	{
		CHECK_EQ(dist_mutex_lock(&mutex), 0);
		while (turn != round)
			CHECK_EQ(dist_cond_wait(&cond, &mutex), 0);
		CHECK_EQ(dist_mutex_unlock(&mutex), 0);
	}
	void pass(long next)
	{
		CHECK_EQ(dist_mutex_lock(&mutex), 0);
		turn = next;
		CHECK_EQ(dist_cond_broadcast(&cond), 0);
		CHECK_EQ(dist_mutex_unlock(&mutex), 0);
	}
	TURNS(wait(round), pass(round + 1))
}

/* Between two barriers every node writes its part of one page; then every node reads all of it. */
static void by_barrier(long rounds)
{
	int nodes = dist_node_count();
	dist_barrier_t barrier;
	int part[64][8] = { 0 };
	long sums[64] = { 0 };
	void player(int rank)
	{
		for (int round = 1; round <= rounds; round++) {
			for (int i = 0; i < 8; i++)
				part[rank][i] = round * (rank + 1) + i;
			dist_barrier_wait(&barrier);
			long sum = 0;
			for (int other = 0; other < nodes; other++)
				for (int i = 0; i < 8; i++) {
					CHECK_EQ(part[other][i], round * (other + 1) + i);
					sum += part[other][i];
				}
			sums[rank] = sum;
			dist_barrier_wait(&barrier);
			CHECK_EQ(sums[(rank + 1) % nodes], sum);
		}
	}
	CHECK_EQ(dist_barrier_init(&barrier, 0, nodes), 0);
	for (int rank = 0; rank < nodes; rank++)
		CHECK(dist_thr_create_on(rank, player, rank));
	dist_thr_join_all();
}

/* Creation tells a thread what its creator wrote, its end tells what it wrote; children elsewhere included. */
static void by_join(long rounds)
{
	DATA
	void child(long round)
	{
		look(round);
		put(round + 1);
	}
	void father(long round)
	{
		look(round);
		put(round + 1);
		CHECK(dist_thr_create_on((dist_thr_node() + 1) % nodes, child, round + 1));
	}
	put(0);
	for (long round = 0; round < rounds; round += 2) {
		dist_thr_t thread = dist_thr_create_on(round / 2 % nodes, father, round);
		CHECK(thread);
		CHECK_EQ(dist_thr_join(thread), 0);
		look(round + 2);
	}
}

/* From node 0 to 1 in one way and on to 2 in another; node 1 never touches the data, node 2 has an old copy. */
static void onwards(long rounds)
{
	DATA
	dist_sem_t sem, back;
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	_Atomic long flag = 0;
	volatile long passed = 0;
	long told = 0;
	void first(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			put(round);
			if (round % 2)
				CHECK_EQ(dist_sem_post(&sem), 0);
			else
				flag = round;
			CHECK_EQ(dist_sem_wait(&back), 0);
		}
	}
	void second(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			if (round % 2)
				CHECK_EQ(dist_sem_wait(&sem), 0);
			else
				while (flag != round)
					sched_yield();
			if (round % 4 < 2)
				passed = round;
			else {
				CHECK_EQ(dist_mutex_lock(&mutex), 0);
				told = round;
				CHECK_EQ(dist_mutex_unlock(&mutex), 0);
			}
		}
	}
	void third(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			if (round % 4 < 2)
				while (passed != round)
					sched_yield();
			else
				for (long seen = 0; seen != round;) {
					CHECK_EQ(dist_mutex_lock(&mutex), 0);
					seen = told;
					CHECK_EQ(dist_mutex_unlock(&mutex), 0);
				}
			look(round);
			CHECK_EQ(dist_sem_post(&back), 0);
		}
	}
	CHECK_EQ(dist_sem_init(&sem, 0, 0), 0);
	CHECK_EQ(dist_sem_init(&back, 0, 0), 0);
	CHECK(dist_thr_create_on(0, first, 0));
	CHECK(dist_thr_create_on(1 % nodes, second, 0));
	CHECK(dist_thr_create_on(2 % nodes, third, 0));
	dist_thr_join_all();
}

/* Posts of a thread that doesn't wait for them, with many pages written before each, are done before the flag that it sets
 * after them: nodes may put them off to tell several at once. */
static void by_posts_before(long rounds)
{
	enum { POSTS = 4, PAGES = 16 };
	DATA
	struct { long value[512]; } pages[PAGES] = { 0 };
	dist_sem_t sem;
	_Atomic long flag = 0, answer = 0;
	void writer(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			for (int post = 0; post < POSTS; post++) {
				for (int i = 0; i < PAGES; i++)
					pages[i].value[post] = round;
				CHECK_EQ(dist_sem_post(&sem), 0);
			}
			put(round);
			flag = round;
			while (answer != round)
				sched_yield();
		}
	}
	void reader(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			while (flag != round)
				sched_yield();
			for (int post = 0; post < POSTS; post++)
				CHECK_EQ(dist_sem_trywait(&sem), 0);
			CHECK_EQ(dist_sem_trywait(&sem), EAGAIN);
			for (int i = 0; i < PAGES; i++)
				for (int post = 0; post < POSTS; post++)
					CHECK_EQ(pages[i].value[post], round);
			look(round);
			answer = round;
		}
	}
	CHECK_EQ(dist_sem_init(&sem, 0, 0), 0);
	CHECK(dist_thr_create_on(1 % nodes, writer, 0));
	CHECK(dist_thr_create_on(2 % nodes, reader, 0));
	dist_thr_join_all();
}

/* By something that is no part of the machine, here a file: the writer makes its stores visible itself. */
static void by_flush(long rounds)
{
	DATA
	char path[200];
	snprintf(path, sizeof path, "%s/release-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
	void tell(int place, long round)
	{
		int fd = open(path, O_RDWR | O_CREAT, 0600);
		CHECK(fd >= 0);
		CHECK_EQ(pwrite(fd, &round, sizeof round, place * sizeof round), sizeof round);
		close(fd);
	}
	void wait(int place, long round)
	{
		long told = 0;
		while (told != round) {
			int fd = open(path, O_RDONLY);
			if (fd >= 0) {
				if (pread(fd, &told, sizeof told, place * sizeof told) != sizeof told)
					told = 0;
				close(fd);
			}
			sched_yield();
		}
	}
	void writer(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			put(round);
			dist_flush();
			tell(0, round);
			wait(1, round);
		}
	}
	void reader(int unused)
	{
		for (long round = 1; round <= rounds; round++) {
			wait(0, round);
			look(round);
			tell(1, round);
		}
	}
	put(0);
	CHECK(dist_thr_create_on(nodes - 1, writer, 0));
	CHECK(dist_thr_create_on(nodes / 2, reader, 0));
	dist_thr_join_all();
	unlink(path);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(long rounds); } ways[] = {
		{ "atomic", by_atomic }, { "release", by_release_and_acquire }, { "exchange", by_exchange },
		{ "volatile", by_volatile }, { "attribute", by_attribute }, { "mutex", by_mutex },
		{ "semaphore", by_semaphore }, { "condition", by_condition }, { "barrier", by_barrier },
		{ "join", by_join }, { "onwards", onwards }, { "flush", by_flush },
		{ "posts", by_posts_before },
	};
	long rounds = atol(argv[2]);
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
		if (strcmp(argv[1], "all") == 0 || strcmp(argv[1], ways[i].name) == 0) {
			ways[i].run(rounds);
			printf("%s: %ld rounds\n", ways[i].name, rounds);
		}
	return 0;
}

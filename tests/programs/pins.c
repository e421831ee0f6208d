/* pins: raw system calls, which no wrapper sees, on pinned objects, while other nodes want the same objects. */
#include <sys/syscall.h>
#include "check.h"

enum { ROUNDS = 60, LARGE = 5 * 4096 + 123 };

/* The C library, and what stands before it, has no part in this. */
static long raw(long number, long first, const void *second, long third)
{
	long result;
	__asm__ volatile ("syscall" : "=a" (result) : "a" (number), "D" (first), "S" (second), "d" (third)
	                  : "rcx", "r11", "memory");
	return result;
}

static void put_all(int fd, const char *bytes, long count)
{
	while (count) {
		long done = raw(SYS_write, fd, bytes, count < 4096 ? count : 4096);
		CHECK(done > 0);
		bytes += done;
		count -= done;
	}
}

static void get_all(int fd, char *bytes, long count)
{
	while (count) {
		long done = raw(SYS_read, fd, bytes, count);
		CHECK(done > 0);
		bytes += done;
		count -= done;
	}
}

int main(void)
{
	char small[40];
	char large[LARGE];
	long counters[3];
	long plain = 0;
	_Atomic int stop = 0;
	int nodes = dist_node_count();
	dist_mutex_t turn = DIST_MUTEX_INITIALIZER;

	void errors(void)
	{
		char mine[10];
		CHECK_EQ(dist_pin(mine, sizeof mine, 1), 0);
		CHECK_EQ(dist_unpin(mine, sizeof mine), 0);
		CHECK_EQ(dist_pin(small, 0, 1), 0);
		if (nodes == 1)
			return;
		CHECK_EQ(dist_unpin(large, sizeof large), EINVAL);
		CHECK_EQ(dist_pin(small, (size_t)-1, 0), EINVAL);
		for (int i = 0; i < 100; i++)
			CHECK_EQ(dist_pin(small, sizeof small, i % 2), 0);
		CHECK_EQ(dist_pin(small, sizeof small, 0), EINVAL);
		for (int i = 0; i < 100; i++)
			CHECK_EQ(dist_unpin(small, sizeof small), 0);
		CHECK_EQ(dist_unpin(small, sizeof small), EINVAL);
	}
	/* Somebody who is always in the way: reads and writes what others pin. */
	void disturbs(long seed)
	{
		volatile char sink;
		while (!stop) {
			sink = large[(seed * 4096) % LARGE];
			sink = small[39];
			large[LARGE - 1 - dist_thr_node()] = (char)seed++;
			__atomic_fetch_add(&counters[2], 1, __ATOMIC_SEQ_CST);
		}
		(void)sink;
	}
	/* A pin for writing excludes other nodes; one thread of each node counts without any lock. */
	void counts(void)
	{
		for (int i = 0; i < ROUNDS; i++) {
			CHECK_EQ(dist_pin(counters, sizeof counters, 1), 0);
			long before = *(volatile long *)&counters[0];
			if (i % 16 == 0)
				usleep(100);
			*(volatile long *)&counters[0] = before + 1;
			CHECK_EQ(dist_unpin(counters, sizeof counters), 0);
		}
	}
	void transfers(long thread)
	{
		int out[2];
		char *check = malloc(LARGE);
		CHECK(pipe(out) == 0);
		for (int i = 0; i < ROUNDS; i++) {
			char first = (char)(i + thread);
			dist_mutex_lock(&turn);
			/* The kernel stores to them. */
			memset(check, first, LARGE);
			CHECK_EQ(dist_pin(large, LARGE - 64, 1), 0);
			CHECK_EQ(raw(SYS_write, out[1], check, LARGE - 64), LARGE - 64);
			get_all(out[0], large, LARGE - 64);
			CHECK_EQ(dist_unpin(large, LARGE - 64), 0);
			CHECK_EQ(dist_pin(small, sizeof small, 1), 0);
			CHECK_EQ(raw(SYS_write, out[1], check, sizeof small), sizeof small);
			CHECK_EQ(raw(SYS_read, out[0], small, sizeof small), sizeof small);
			CHECK_EQ(dist_unpin(small, sizeof small), 0);
			dist_mutex_unlock(&turn);
			/* The kernel reads from them: at the same time on all nodes. */
			CHECK_EQ(dist_pin(large, LARGE - 64, 0), 0);
			put_all(out[1], large, LARGE - 64);
			CHECK_EQ(dist_unpin(large, LARGE - 64), 0);
			get_all(out[0], check, LARGE - 64);
			dist_mutex_lock(&turn);
			for (int at = 0; at < LARGE - 64; at++)
				CHECK_EQ(large[at], large[0]);
			CHECK_EQ(small[0], large[0]);
			CHECK_EQ(small[39], large[0]);
			plain++;
			dist_mutex_unlock(&turn);
			for (int page = 0; page < LARGE - 64; page += 4096)
				for (int at = page; at < page + 4096 && at < LARGE - 64; at++)
					CHECK_EQ(check[at], check[page]);
		}
		close(out[0]);
		close(out[1]);
		free(check);
	}

	memset(small, 0, sizeof small);
	memset(large, 0, sizeof large);
	memset(counters, 0, sizeof counters);
	for (int i = 0; i < nodes; i++)
		dist_thr_join(dist_thr_create_on(i, errors, 0));
	dist_thr_create_on(nodes - 1, disturbs, 3);
	dist_thr_create_on(0, disturbs, 5);
	dist_thr_t worker[64];
	for (int i = 0; i < nodes; i++)
		worker[i] = dist_thr_create_on(i, transfers, i);
	for (int i = 0; i < nodes; i++)
		CHECK_EQ(dist_thr_join(worker[i]), 0);
	for (int i = 0; i < nodes; i++)
		worker[i] = dist_thr_create_on(i, counts, 0);
	for (int i = 0; i < nodes; i++)
		CHECK_EQ(dist_thr_join(worker[i]), 0);
	stop = 1;
	dist_thr_join_all();
	CHECK_EQ(counters[0], nodes * ROUNDS);
	CHECK_EQ(plain, nodes * ROUNDS);
	puts("pins agree");
	return 0;
}

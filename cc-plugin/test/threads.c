/* threads.c - every way to name a thread's function, and what its frames hold. */
#include <stdlib.h>
#include "check.h"

static int plain_result;
static void plain(long k) { __atomic_fetch_add(&plain_result, (int)k, __ATOMIC_SEQ_CST); }

static void ordinary_functions(void)
{
	void (*pointer)(long) = plain;
	CHECK(dist_thr_create(plain, 1) != 0);
	CHECK(dist_thr_create(&plain, 10) != 0);
	CHECK(dist_thr_create(pointer, 100) != 0);
	dist_thr_join_all();
	CHECK(plain_result == 111);
}

static void through_pointers(void)
{
	int hits = 0;
	void count(long n) { __atomic_fetch_add(&hits, (int)n, __ATOMIC_SEQ_CST); }
	void (*pointer)(long) = count;
	void *untyped = count;
	struct { void (*member)(long); } table[2] = { { count }, { plain } };
	pointer(1);
	dist_thr_create(pointer, 10);
	dist_thr_create((void (*)(long))untyped, 100);
	dist_thr_create(table[0].member, 1000);
	dist_thr_create(count, 10000);
	dist_thr_join_all();
	CHECK(hits == 11111);
}

static void argument_types(void)
{
	int cells[3] = { 0 };
	char *text = 0;
	void by_pointer(int *cell) { *cell = 5; }
	void by_char(char c) { cells[1] = c; }
	void by_unsigned(unsigned u) { cells[2] = u == 0xffffffffu; }
	void by_text(char *t) { text = t; }
	dist_thr_create(by_pointer, &cells[0]);
	dist_thr_create(by_char, 'c');
	dist_thr_create(by_unsigned, 0xffffffffu);
	dist_thr_create_on(0, by_text, (char *)cells);
	dist_thr_join_all();
	CHECK(cells[0] == 5 && cells[1] == 'c' && cells[2] == 1 && text == (char *)cells);
}

/* A function without a chain has no descriptor: the record alone names it. */
static void needs_no_chain(void)
{
	static int done;
	void thread(long k) { done = k; }
	ONE_THREAD(thread, 7);
	CHECK(done == 7);
}

static void levels(int p)
{
	int a = 1;
	void level_1(int q)
	{
		int b = 2;
		void level_2(int r)
		{
			int c = 3;
			void thread(long s) { a += s; b += a; c += b; p++; q++; r++; }
			ONE_THREAD(thread, 10);
			CHECK(c == 3 + 2 + 11 && r == 31);
		}
		level_2(30);
		CHECK(b == 13 && q == 21);
	}
	level_1(20);
	CHECK(a == 11 && p == 11);
}

/* Frames of two levels, values kept in them, calls to siblings, a thread that starts a thread. */
static void deep(int n, int m, double scale)
{
	int v[n][m];
	struct { int *p; int x; } link = { &v[0][0], 5 };
	int uncle = 3;
	void no_thread(void) { uncle++; }
	void middle(int q)
	{
		double w[4] = { q, q + 1, q + 2, q + 3 };
		int tag = 0;
		void helper(int i) { w[i] *= scale; }
		void thread(long k)
		{
			for (int j = 0; j < m; j++)
				v[k][j] = k * 10 + j + link.x;
			helper(k);
			if (k == 1) {
				tag = sizeof v[0];
				link.p[0]++;
			}
			void grandchild(long z) { if (z == 3) w[3] += 1000; }
			if (k == 2)
				dist_thr_create(grandchild, 3);
		}
		for (int k = 1; k < n; k++)
			dist_thr_create(thread, k);
		dist_thr_join_all();
		CHECK(tag == m * (int)sizeof(int));
		CHECK(w[0] == q && w[1] == (q + 1) * scale && w[2] == (q + 2) * scale && w[3] == q + 1003);
	}
	v[0][0] = 100;
	middle(7);
	no_thread();
	for (int k = 1; k < n; k++)
		for (int j = 0; j < m; j++)
			CHECK(v[k][j] == k * 10 + j + 5);
	CHECK(v[0][0] == 101 && uncle == 4);
}

/* Stubs and descriptors of the father's frame are made anew in the thread's. */
static void pointers_in_a_thread(void)
{
	int numbers[8] = { 5, 3, 8, 1, 9, 2, 7, 0 }, compared = 0, told = 0, started = 0;
	int compare(const void *a, const void *b) { compared++; return *(int *)a - *(int *)b; }
	void tell(long k) { __atomic_fetch_add(&told, (int)k, __ATOMIC_SEQ_CST); }
	void thread(long k)
	{
		void (*indirect)(long) = tell;
		qsort(numbers, 8, sizeof *numbers, compare);
		indirect(k);
		dist_thr_create(tell, 10 * k);
		dist_thr_create(indirect, 100 * k);
		started++;
	}
	int again[3] = { 3, 1, 2 };
	qsort(again, 3, sizeof *again, compare);
	ONE_THREAD(thread, 2);
	for (int i = 1; i < 8; i++)
		CHECK(numbers[i - 1] <= numbers[i]);
	CHECK(again[0] == 1 && again[2] == 3 && compared > 8 && told == 222 && started == 1);
}

/* A thread's own function may have objects for its own children. */
static void family(void)
{
	int total = 0;
	void child(long n)
	{
		int parts[8] = { 0 };
		void part(long i) { parts[i] = n * 10 + i; }
		for (int i = 0; i < 8; i++)
			dist_thr_create(part, i);
		dist_thr_join_all();
		int sum = 0;
		for (int i = 0; i < 8; i++)
			sum += parts[i];
		__atomic_fetch_add(&total, sum, __ATOMIC_SEQ_CST);
	}
	for (int n = 0; n < 4; n++)
		dist_thr_create(child, n);
	dist_thr_join_all();
	CHECK(total == 8 * 10 * 6 + 4 * 28);
}

/* The function that owns the objects returns only when the threads that use them have ended. */
static int *dependence_result;
static void termination_dependency(int *result)
{
	int cells[64] = { 0 };
	void thread(long k)
	{
		for (int i = 0; i < 100000; i++)
			__atomic_fetch_add(&cells[k], 1, __ATOMIC_RELAXED);
		if (cells[k] == 100000)
			__atomic_fetch_add(dependence_result, 1, __ATOMIC_SEQ_CST);
	}
	dependence_result = result;
	for (int k = 0; k < 8; k++)
		dist_thr_create(thread, k);
}

int main(void)
{
	ordinary_functions();
	through_pointers();
	argument_types();
	needs_no_chain();
	levels(10);
	deep(3, 6, 2.5);
	pointers_in_a_thread();
	family();
	int finished = 0;
	termination_dependency(&finished);
	CHECK(finished == 8);
	return failures != 0;
}

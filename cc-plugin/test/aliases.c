/* aliases.c - what the dependence cliques must not break: accesses to one object by different ways. */
#include <stdlib.h>
#include "check.h"

enum { N = 257 };
#define NOINLINE __attribute__((noinline))

static NOINLINE void opaque(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); }

static void through_other_pointers(void)
{
	int a[N], b[N], sum = 0;
	int *inside = &a[1], *other = &sum;
	char *bytes = (char *)b;
	NOINLINE int shift(void)
	{
		/* a[i + 1] is written through a pointer: no vectorization over the true dependence. */
		for (int i = 0; i < N - 1; i++)
			inside[i] = a[i] + 1;
		return a[N - 1];
	}
	NOINLINE int accumulate(void)
	{
		sum = 0;
		for (int i = 0; i < N; i++) {
			*other += 1;
			if (sum != i + 1)
				return -1;
		}
		return sum;
	}
	NOINLINE int by_bytes(void)
	{
		for (int i = 0; i < N; i++) {
			b[i] = 0x01010101;
			bytes[4 * i] = 2;
			bytes[4 * i + 3] = b[i] & 3;
		}
		return b[N - 1];
	}
	NOINLINE int forwarded(int k)
	{
		int *p = k ? a : b;
		a[3] = 1;
		p[3] = 7;
		return a[3];
	}
	a[0] = 0;
	CHECK(shift() == N - 1);
	CHECK(accumulate() == N);
	CHECK(by_bytes() == 0x02010102);
	CHECK(forwarded(1) == 7 && forwarded(0) == 1);
	void thread(long k) { shift(); accumulate(); by_bytes(); forwarded(k); opaque(&a); opaque(&b); opaque(&sum); }
	ONE_THREAD(thread, 1);
	CHECK(a[3] == 7 && sum == N);
}

static void copies_that_overlap(void)
{
	char text[N];
	struct { int v[16]; } x, y, *p = &x, *q = &x;
	NOINLINE void move(void) { memmove(text + 1, text, N - 1); text[0] = 'z'; }
	NOINLINE int assign(void) { x.v[0] = 1; y = *q; p->v[0] = 2; *q = y; return x.v[0]; }
	memset(text, 'a', N);
	memset(&x, 0, sizeof x);
	move();
	move();
	CHECK(text[0] == 'z' && text[1] == 'z' && text[2] == 'a');
	CHECK(assign() == 1);
	void thread(long k) { move(); assign(); text[N - 1] = k; }
	ONE_THREAD(thread, 'k');
	CHECK(text[2] == 'z' && text[N - 1] == 'k');
}

/* Arrays of scopes that follow each other share an address; of iterations too. */
static long scopes_that_reuse_memory(int n)
{
	long sum = 0;
	for (int round = 1; round <= 4; round++) {
		{
			int first[n * round];
			void fill(int k) { for (int i = 0; i < n * round; i++) first[i] = k; }
			fill(round);
			for (int i = 0; i < n * round; i++)
				sum += first[i];
		}
		{
			int second[n], third[n];
			void fill(int k) { for (int i = 0; i < n; i++) { second[i] = k; third[i] = -k; } }
			fill(10 * round);
			for (int i = 0; i < n; i++)
				sum += second[i] + third[i];
		}
		void (*keep)(long *) = ({ void use(long *s) { *s += n; } use; });
		keep(&sum);
	}
	return sum;
}

static inline __attribute__((always_inline)) int owner(int k)
{
	int x = k, y[4] = { k, k, k, k };
	void bump(void) { for (int i = 0; i < 4; i++) x += y[i]; y[x & 3] = x; }
	bump();
	void (*again)(void) = bump;
	again();
	return x + y[0] + y[1] + y[2] + y[3];
}

static int reference_owner(int k)
{
	int x = k, y[4] = { k, k, k, k };
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++)
			x += y[i];
		y[x & 3] = x;
	}
	return x + y[0] + y[1] + y[2] + y[3];
}

/* Inlined twice in one loop body: the second activation's objects lie where the first's lay. */
static void inlined_owners(void)
{
	for (int k = 0; k < 200; k++) {
		int one = owner(k), two = owner(k + 1);
		CHECK(one == reference_owner(k) && two == reference_owner(k + 1));
	}
}

/* Iterations that depend on each other through one object. */
static void loop_carried(void)
{
	int fib[N], wave[2][N], order[N];
	NOINLINE void thread(long k)
	{
		fib[0] = fib[1] = 1;
		for (int i = 2; i < N; i++)
			fib[i] = (fib[i - 1] + fib[i - 2]) % 1000;
		for (int i = 0; i < N; i++)
			wave[0][i] = i;
		for (int t = 1; t < 50; t++)
			for (int i = 1; i < N - 1; i++)
				wave[t & 1][i] = (wave[~t & 1][i - 1] + wave[~t & 1][i + 1]) / 2;
		for (int i = 0; i < N; i++)
			order[i] = (i * 7) % N;
		for (int i = 0; i < N; i++)
			fib[order[i]] += fib[i] & 1;
		(void)k;
	}
	ONE_THREAD(thread, 0);
	int expected[N];
	expected[0] = expected[1] = 1;
	for (int i = 2; i < N; i++)
		expected[i] = (expected[i - 1] + expected[i - 2]) % 1000;
	for (int i = 0; i < N; i++)
		expected[(i * 7) % N] += expected[i] & 1;
	CHECK(!memcmp(expected, fib, sizeof fib));
	opaque(wave);
}

/* The pointer of a variable-length object that does not exist yet is garbage: nobody may follow it early. */
static int enabled[8];
static NOINLINE int before_the_array(int n)
{
	int result = 0;
	auto void step(int);
	step(0);
	struct { int first, rest[n]; } array;
	NOINLINE void add_first(void)
	{
		int sum = 0;
		for (int i = 0; i < 8; i++) {
			if (!enabled[i])
				continue;
			sum += array.first; /* invariant: would leave the loop if it could not trap */
		}
		result += sum;
	}
	void (*address)(void) = add_first; /* makes `array` an object: plain gcc itself follows the pointer early */
	opaque(&address);
	NOINLINE void step(int k)
	{
		if (k > 5) {
			array.first = 2;
			memset(enabled, 1, sizeof enabled);
		}
		add_first();
	}
	step(n);
	return result;
}

static NOINLINE void leave_garbage(void)
{
	char stack[4096];
	memset(stack, 0x5a, sizeof stack);
	opaque(stack);
}

int main(void)
{
	through_other_pointers();
	copies_that_overlap();
	CHECK(scopes_that_reuse_memory(5) == 5 * (1 + 4 + 9 + 16) + 20);
	inlined_owners();
	loop_carried();
	leave_garbage();
	opaque(enabled);
	CHECK(before_the_array(6) == 16);
	return failures != 0;
}

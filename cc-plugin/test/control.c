/* control.c - every way into and out of a scope with objects.  The double ends a test that leaks marks. */
#include <setjmp.h>
#include <stdlib.h>
#include "check.h"

enum { MANY = 400000 }; /* more than the double has slots: what a loop leaks, it notices */

static int returns(int k)
{
	int x = k, array[100];
	void thread(long a) { x += a; array[99] = a; }
	if (k == 0)
		return x;
	ONE_THREAD(thread, 5);
	for (int i = 0; i < 3; i++) {
		int y = i;
		void touch(void) { y += x; }
		touch();
		if (k == i)
			return y + array[99];
	}
	return x;
}

static void leaves_array_scopes(void)
{
	int total = 0;
	for (int n = 1; n < 60; n++) {
		int v[n * 100], w[n];
		void fill(long k) { for (int i = 0; i < n; i++) v[i * 100] = w[i] = k; }
		if (n % 5 == 0)
			continue;
		fill(n);
		if (n % 7 == 0)
			ONE_THREAD(fill, n + 1);
		if (n == 44)
			goto out;
		total += v[(n - 1) * 100] + w[0];
		if (n == 51)
			break;
	}
out:;
	int expected = 0;
	for (int n = 1; n < 44; n++)
		if (n % 5)
			expected += 2 * (n + (n % 7 == 0));
	CHECK(total == expected);
}

static void many_array_scopes(void)
{
	long sum = 0;
	for (int n = 0; n < MANY; n++) {
		int v[1 + n % 3];
		void set(int k) { v[0] = k; }
		void (*indirect)(int) = set;
		if (n % 100 == 0)
			indirect(1);
		else
			set(1);
		sum += v[0];
	}
	CHECK(sum == MANY);
}

static void jumps_into_blocks(int k)
{
	int total = 0;
	void add(int v) { total += v; }
	switch (k) {
		int skipped;
		void use(void) { skipped++; total += skipped; }
	case 1:
		skipped = 5;
		use();
		break;
	case 2:
		skipped = 7;
		use();
		break;
	default:
		skipped = 0;
	}
	goto middle;
	{
		int block = 99;
		void use(void) { block++; total += block; }
	middle:
		block = 1;
		use();
	}
	int i = 0;
again:
	{
		int v = i;
		void twice(void) { v *= 2; total += v; }
		twice();
		if (++i < 5)
			goto again;
	}
	void *targets[] = { &&first, &&second };
	goto *targets[k - 1];
first:
	add(1000);
second:
	add(100);
	ONE_THREAD(add, 1);
	CHECK(total == (k == 1 ? 6 : 8) + 2 + 20 + (k == 1 ? 1100 : 100) + 1);
}

static int nonlocal_goto(int depth)
{
	__label__ out;
	int x = 0, count[3] = { 0 };
	void inner(int d)
	{
		int mine[5] = { d, d };
		void deeper(void)
		{
			mine[0]++;
			count[1] += mine[0];
			if (d == 0)
				goto out;
			inner(d - 1);
		}
		void (*indirect)(void) = deeper;
		indirect();
	}
	for (int i = 0; i < 100; i++) {
		inner(depth);
		CHECK(0);
	out:
		x++;
		if (++count[0] >= 50)
			break;
	}
	void thread(long a) { x += a; }
	ONE_THREAD(thread, 1000);
	CHECK(count[0] == 50);
	return x;
}

/* Nothing above the label's own scope stays allocated, though no TRY_FINALLY runs. */
static void many_nonlocal_gotos(int n)
{
	__label__ again;
	int rounds = 0, kept[n];
	kept[n - 1] = 77;
	void leave(int k)
	{
		int mine = k, array[40 + k];
		void use(void) { mine++; array[0] = mine; rounds += array[0] == mine; }
		void (*indirect)(void) = use;
		indirect();
		goto again;
	}
	void keep(void) { kept[0] = rounds; }
again:
	keep();
	CHECK(kept[0] == rounds && kept[n - 1] == 77);
	if (rounds < MANY / 4)
		leave(rounds & 3);
}

static void longjmps(void)
{
	jmp_buf buffer;
	volatile int rounds = 0, sum = 0;
	int seen[30];
	void down(int depth)
	{
		int mine[50];
		void touch(void) { mine[depth] = depth; seen[depth] = mine[depth]; sum += seen[depth]; }
		touch();
		if (depth == 20)
			longjmp(buffer, 1);
		down(depth + 1);
	}
	if (setjmp(buffer) == 0 || rounds < 100) {
		rounds++;
		down(0);
	}
	CHECK(rounds == 100 && sum == 210 * 100);
}

static jmp_buf many_buffer;
static void jumps_away(int k)
{
	int mine = k, array[50];
	void use(void) { mine++; array[0] = mine; }
	void (*indirect)(void) = use;
	indirect();
	longjmp(many_buffer, 1 + (array[0] != k + 1));
}

/* No enclosing function has objects: setjmp itself gives back what the jump left. */
static void many_longjmps(void)
{
	volatile int rounds = 0;
	int how = setjmp(many_buffer);
	CHECK(how == (rounds != 0));
	if (rounds++ < MANY / 4)
		jumps_away(rounds);
}

static void many_longjmps_with_objects(int n)
{
	volatile int rounds = 0;
	int kept[n], fixed = 5;
	void keep(void) { kept[n - 1] = rounds; fixed++; }
	switch (setjmp(many_buffer)) {
	case 0:
	case 1:
		keep();
		CHECK(kept[n - 1] == rounds && fixed == 6 + rounds);
		if (rounds++ < MANY / 4)
			jumps_away(rounds);
		break;
	default:
		CHECK(0);
	}
}

static int recursion(int depth)
{
	int x = depth, y[4] = { depth, depth, depth, depth }, big[50];
	void thread(long a) { x += a; y[a & 3] = -a; big[a & 31] = a; }
	int below = depth ? recursion(depth - 1) : 0;
	ONE_THREAD(thread, depth);
	CHECK(x == 2 * depth && y[depth & 3] == -depth && big[depth & 31] == depth);
	return below + x;
}

static int by_mutual_recursion(int n)
{
	int evens = 0, odds = 0;
	auto void odd(int);
	void even(int k) { if (k > 0) { evens++; odd(k - 1); } }
	void odd(int k) { if (k > 0) { odds++; even(k - 1); } }
	void thread(long k) { even(k); }
	ONE_THREAD(thread, n);
	return evens * 10 + odds;
}

static void cleanups(void)
{
	int log = 0;
	void note(int *p) { log = log * 10 + *p; }
	{
		int a __attribute__((cleanup(note))) = 1;
		int b __attribute__((cleanup(note))) = 2;
		void thread(long x) { a += x; b += x; }
		ONE_THREAD(thread, 3);
	}
	CHECK(log == 54);
}

static int statement_expressions(void)
{
	int x = 1;
	void thread(long k)
	{
		x += ({ int q = k; void twice(void) { q *= 2; x += q; } twice(); q; });
	}
	ONE_THREAD(thread, 2);
	return x;
}

static inline int inlined(int x)
{
	int sum = x;
	void add(long k) { sum += k; }
	add(1);
	ONE_THREAD(add, 2);
	return sum;
}

static int without_objects(int n)
{
	int private = n;
	int twice(void) { return private * 2; }
	return twice();
}

static void ends(void)
{
	int status = 3;
	/* Not exit: objects are still there, which the double takes for a leak. */
	void finish(void) { fflush(stdout); _Exit(failures ? 1 : status - 3); }
	finish();
}

int main(void)
{
	CHECK(returns(0) == 0 && returns(2) == 14 && returns(1) == 12 && returns(9) == 14);
	leaves_array_scopes();
	many_array_scopes();
	jumps_into_blocks(1);
	jumps_into_blocks(2);
	CHECK(nonlocal_goto(3) == 1050);
	many_nonlocal_gotos(10);
	longjmps();
	many_longjmps();
	many_longjmps_with_objects(7);
	CHECK(recursion(6) == 42);
	CHECK(by_mutual_recursion(11) == 65);
	cleanups();
	CHECK(statement_expressions() == 9);
	int total = 0;
	for (int i = 0; i < 10; i++)
		total += inlined(i);
	CHECK(total == 75);
	CHECK(without_objects(4) == 8);
	ends();
}

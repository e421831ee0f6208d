/* bench_atomics.c - what the check before an access through an unknown pointer costs: ns per access.
 * Run by bench.sh with and without the plugin.  First column: ordinary memory, second: an object of the window.
 */
#include <stdio.h>
#include <time.h>

enum { COUNT = 1 << 24, ROUNDS = 7 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int __attribute__((noipa)) volatile_load(volatile int *p)
{
	int sum = 0;
	for (int i = 0; i < COUNT; i++)
		sum += *p;
	return sum;
}

static int __attribute__((noipa)) volatile_array(volatile int *p)
{
	int sum = 0;
	for (int i = 0; i < COUNT; i++)
		sum += p[i & 7];
	return sum;
}

static int __attribute__((noipa)) atomic_load(int *p)
{
	int sum = 0;
	for (int i = 0; i < COUNT; i++)
		sum += __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return sum;
}

static int __attribute__((noipa)) atomic_add(int *p)
{
	for (int i = 0; i < COUNT; i++)
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
	return *p;
}

static double best(int (*f)(), int *p)
{
	double least = 1e18;
	for (int i = 0; i < ROUNDS; i++) {
		double start = now();
		f(p);
		double time = now() - start;
		least = time < least ? time : least;
	}
	return least / COUNT;
}

int main(void)
{
	int object[8] __attribute__((shadow)) = { 0 };
	static int ordinary[8];
	_Atomic int counter __attribute__((shadow)) = 0;
	struct { const char *name; int (*f)(); } tests[] = {
		{ "volatile load", volatile_load }, { "volatile array", volatile_array },
		{ "atomic load", atomic_load }, { "atomic add", atomic_add } };
	for (int i = 0; i < 4; i++)
		printf("%-16s %6.2f %6.2f\n", tests[i].name, best(tests[i].f, ordinary), best(tests[i].f, object));
	double start = now();
	for (int i = 0; i < COUNT; i++)
		counter++;
	printf("%-16s        %6.2f\n", "_Atomic object++", (now() - start) / COUNT);
	return 0;
}

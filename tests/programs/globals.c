/* globals.c - globals and static locals of several units, shared by the threads of all nodes.
 *
 * Compiled with --share-globals, together with globals_other.c.  Argument: number of threads.
 * Prints "globals are shared", or what was not so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "globals.h"

int failures;
int counter = 1000;
static long hidden = 7;
double matrix[64][512] = { { 1.5 }, { 2.5, 3.5 } };
struct item items[ITEMS] = { { 1, "one", &items[1] }, { 2, "two", &items[2] }, { 3, "three", 0 } };
struct item *first = &items[0];
static int *const parts[] = { &counter, [3 ... 4] = &counter };
char text[] = "initial";
_Atomic long total;
volatile int announced;
long huge[1 << 18]; /* 2 MiB of zeros */
static int made_by_constructor;
__thread int own = 5;
int of_each_node __attribute__((node_local)) = 1;
static dist_mutex_t lock;
static int main_only;

/* Runs on every node, so it must not matter how often. */
static void __attribute__((constructor)) prepare(void) { made_by_constructor = 42; }

/* Every thread has the next number, on whichever node. */
static int next_number(void)
{
	static int last = 100;
	static struct { int *last; } inside = { &last };
	check(inside.last == &last);
	dist_mutex_lock(&lock);
	int number = ++*inside.last;
	dist_mutex_unlock(&lock);
	return number;
}

static void check_initial(void)
{
	check(matrix[0][0] == 1.5 && matrix[1][1] == 3.5 && matrix[63][511] == 0);
	check(first == items && first->next->next == &items[2] && !strcmp(items[1].name, "two"));
	check(parts[0] == &counter && !parts[1] && parts[4] == &counter && !strcmp(text, "initial"));
	check(other_pointer == &items[2].value && other_table[1] == text && made_by_constructor == 42);
	check(own == 5 && of_each_node == 1);
}

/* `rows` of the matrix and a piece of `huge` for each; the counters for all. */
static void work(long k)
{
	check_initial();
	int number = next_number();
	check(number > 100 && number <= 100 + MANY);
	for (int i = 0; i < ROUNDS; i++) {
		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
		total += 2;
		count_there();
	}
	for (int j = 0; j < 512; j++)
		matrix[2 + k][j] = k * 1000 + j;
	for (int i = k; i < 1 << 18; i += MANY)
		huge[i] = i + 1;
	dist_mutex_lock(&lock);
	hidden += k;
	items[k % ITEMS].value += 10;
	dist_mutex_unlock(&lock);
	own++;
	check(own == 6);
}

/* Main's store is seen by a thread that runs already, and its answer by main. */
static void answers(long k)
{
	while (!announced)
		sched_yield();
	check(!strcmp(text, "changed") && *other_table[1] == 'c');
	strcpy(text, "again");
	announced = 2;
	(void)k;
}

static void ends(int threads)
{
	long sum = 7, values = 1 + 2 + 3 + threads * 10, found = 0;
	for (int k = 0; k < threads; k++)
		sum += k;
	check(hidden == sum && counter == 1000 + threads * ROUNDS && total == 2l * threads * ROUNDS);
	check(there() == threads * ROUNDS);
	for (int i = 0; i < ITEMS; i++)
		found += items[i].value;
	check(found == values && next_number() == 100 + threads + 1);
	for (int k = 0; k < threads; k++)
		for (int j = 0; j < 512; j++)
			check(matrix[2 + k][j] == k * 1000 + j);
	for (int i = 0; i < 1 << 18; i++)
		check(huge[i] == (i % MANY < threads ? i + 1 : 0));
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 4;
	check_initial();
	check(hidden == 7 && counter == 1000 && huge[0] == 0 && huge[(1 << 18) - 1] == 0);
	main_only = 3;
	for (int k = 0; k < threads; k++)
		check(dist_thr_create(work, k) != 0);
	dist_thr_join_all();
	ends(threads);
	check(dist_thr_create(answers, 0) != 0);
	strcpy(text, "changed");
	announced = 1;
	while (announced != 2)
		sched_yield();
	check(!strcmp(text, "again") && main_only == 3);
	dist_thr_join_all();
	if (!failures)
		puts("globals are shared");
	return failures != 0;
}

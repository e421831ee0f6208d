/* sharing.c - which locals become objects: exactly the lines that say "sharable".
 * run.sh compares them with what -fplugin-arg-NAME-report says. */
#include <stdlib.h>
#include "umbel.h"

void consume(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); }

static void by_threads(int n, /* sharable */
		       int m)
{
	int used = 0; /* sharable */
	int by_helper = 0; /* sharable */
	int private = 0;
	int by_other = 0;
	void other(void) { by_other++; }
	void helper(void) { by_helper++; }
	void thread(long k)
	{
		int own = 0;
		int for_child = 0; /* sharable */
		void inner(void) { own++; }
		void child(long z) { for_child += z; }
		inner();
		helper();
		used += k + n;
		dist_thr_create(child, own);
	}
	dist_thr_create(thread, private);
	other();
	dist_thr_join_all();
	consume(&private);
	consume(&m);
}

static void by_escape(void)
{
	int compared = 0; /* sharable */
	int numbers[3] = { 3, 1, 2 };
	int compare(const void *a, const void *b) { compared++; return *(int *)a - *(int *)b; }
	qsort(numbers, 3, sizeof *numbers, compare);
}

static void by_address(int n)
{
	int x = 0; /* sharable */
	int *p = &x; /* sharable */
	int array[10]; /* sharable */
	int *q = array; /* sharable */
	struct node { struct node *next; int value; };
	struct node last = { 0, 1 }; /* sharable */
	struct node first = { &last, 2 }; /* sharable */
	int row_1[n]; /* sharable */
	int row_2[n]; /* sharable */
	int *rows[2] = { row_1 }; /* sharable */
	int through_copy; /* sharable */
	int *copy = &through_copy;
	int *copied = 0; /* sharable */
	int through_store; /* sharable */
	int **where = &copied;
	int unrelated, *private_pointer = &unrelated;
	int only_called;
	rows[1] = row_2;
	copied = copy;
	*where = &through_store;
	consume(&only_called);
	*private_pointer = 1;
	void thread(long k)
	{
		*p += k;
		*q += k;
		rows[k][0] = 1;
		if (copied)
			first.value++;
	}
	dist_thr_create(thread, 0);
	dist_thr_join_all();
}

static void by_attribute(int v __attribute__((shadow("migratory")))) /* sharable */
{
	int marked __attribute__((shadow)) = v; /* sharable */
	int unmarked = marked;
	consume(&unmarked);
}

static void add_one(int *where) { *where += 1; }

static void by_argument(void)
{
	int handed = 0; /* sharable */
	int kept = 0;
	consume(&kept);
	dist_thr_create(add_one, &handed);
	dist_thr_join_all();
}

static int recursive(int n) /* sharable */
{
	int result = 0; /* sharable */
	void thread(long k) { result = recursive(n - k); }
	if (n > 0)
		dist_thr_create(thread, 1);
	dist_thr_join_all();
	return result + 1;
}

int main(void)
{
	by_threads(1, 2);
	by_escape();
	by_address(4);
	by_attribute(1);
	by_argument();
	return recursive(3) != 4;
}

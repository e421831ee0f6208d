/* module.c - a shared object with objects, threads and stubs of its own; loaded by loader.c. */
#include <stdlib.h>
#include "umbel.h"

int module_work(int n)
{
	int values[n], compared = 0;
	int compare(const void *a, const void *b) { compared++; return *(int *)a - *(int *)b; }
	void thread(long k) { values[k] = n - k; }
	for (int i = 0; i < n; i++)
		dist_thr_create(thread, i);
	dist_thr_join_all();
	qsort(values, n, sizeof *values, compare);
	return values[0] * 1000 + values[n - 1] + (compared == 0);
}

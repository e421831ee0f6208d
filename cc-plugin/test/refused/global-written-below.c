/* warning: umbel: the thread function 'worker' leads to 'helper', which writes 'count', of which each node has its own */
#include "umbel.h"
static void helper(void)
{
	static int count[4];
	__atomic_fetch_add(&count[1], 1, __ATOMIC_RELAXED);
}
static void middle(void) { helper(); }
static void worker(long k) { middle(); }
int main(void)
{
	dist_thr_create(worker, 1);
	return 0;
}

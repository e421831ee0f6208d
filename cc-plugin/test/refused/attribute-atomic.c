/* error: umbel: 'x' cannot be 'weak': an atomic builtin operates on it */
#include "umbel.h"
int f(void)
{
	int x __attribute__((shadow("weak"))) = 0;
	void thread(long k) { __atomic_fetch_add(&x, k, __ATOMIC_RELAXED); }
	dist_thr_create(thread, 1);
	return x;
}

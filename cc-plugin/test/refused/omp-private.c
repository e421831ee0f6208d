/* warning: umbel: 'x' stays private to its thread: a privatising OpenMP clause names it */
/* options: -fopenmp */
#include "umbel.h"
int f(void)
{
	int x = 0;
	void thread(long k)
	{
		#pragma omp parallel private(x)
		x = k;
	}
	dist_thr_create(thread, 1);
	return x;
}

/* warning: umbel: a non-local goto leaves the thread function 'thread' for 'main': a thread cannot end that way */
#include "umbel.h"
int main(void)
{
	__label__ out;
	int x = 0;
	void thread(long k)
	{
		x += k;
		if (x > 5)
			goto out;
	}
	dist_thr_create(thread, 1);
	dist_thr_join_all();
out:
	return 0;
}

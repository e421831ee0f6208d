/* warning: umbel: the thread function 'thread' writes 'direct', of which each node has its own */
#include "umbel.h"
int direct, read_only, quiet __attribute__((node_local)), shared __attribute__((shadow));
static __thread int own;
int main(void)
{
	int x = 0;
	void thread(long k)
	{
		direct += k;
		x += direct + read_only + quiet++ + shared++ + own++;
	}
	dist_thr_create(thread, 1);
	return x;
}

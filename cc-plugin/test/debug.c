/* debug.c - run.sh stops gdb in `thread` and in `owner` and prints captured variables by name. */
#include "umbel.h"

static __attribute__((noinline)) void stop(void) { __asm__ volatile("" ::: "memory"); }

static int owner(int parameter, int n)
{
	int array[3] = { 1, 2, 3 };
	double scale = 1.5;
	int vla[n];
	vla[0] = 9;
	void thread(long k)
	{
		array[k] = parameter++;
		vla[0] += k;
		scale *= 2;
		stop();
	}
	thread(1);
	dist_thr_create(thread, 2);
	dist_thr_join_all();
	return array[2] - 6;
}

int main(int argc, char **argv)
{
	(void)argv;
	return owner(5, argc + 2);
}

/* voidmain.c - main that returns nothing ends with status 0, whatever its last computation was. */
#include "check.h"

static __attribute__((noinline)) int leaves_a_register(int k) { __asm__ volatile("" : "+r"(k)); return k; }

void main(void)
{
	int x = 40;
	void thread(long k) { x += k; }
	ONE_THREAD(thread, 2);
	leaves_a_register(x);
}

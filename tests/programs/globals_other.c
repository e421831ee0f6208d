/* globals_other.c - the other unit of globals.c. */
#include <stdio.h>
#include "globals.h"

char *other_table[2] = { 0, text };
int *other_pointer = &items[2].value;
static _Atomic long count;
static long plain __attribute__((shadow("sequential")));

void count_there(void)
{
	count++;
	__atomic_fetch_add(&plain, 1, __ATOMIC_SEQ_CST);
}

long there(void)
{
	if (plain != count)
		printf("%ld and %ld counted\n", plain, count);
	return count;
}

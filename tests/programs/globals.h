/* globals.h - what the two units of globals.c have in common. */
#include <sched.h>
#include "umbel.h"

enum { ITEMS = 3, ROUNDS = 200, MANY = 16 };
struct item { int value; const char *name; struct item *next; };
extern int failures;
extern struct item items[ITEMS];
extern char text[], *other_table[2];
extern int *other_pointer;
extern void count_there(void);
extern long there(void);

#define check(condition) do { \
		if (!(condition)) { \
			__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED); \
			printf("%s:%d: not so on node %d: %s\n", __FILE__, __LINE__, dist_thr_node(), #condition); \
		} \
	} while (0)

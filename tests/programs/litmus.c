/* litmus BATCHES: small programs whose outcomes tell memory models apart. Four threads, on the nodes in
 * turn, change roles and run BATCH copies of one shape between two barriers. No outcome that sequential
 * consistency forbids may appear; the number of runs and of different outcomes is printed by shape.
 *
 * Three kinds of sequential objects, by the compiler's options:
 *
 *     (none)         _Atomic
 *     -DVOLATILE     volatile
 *     -DATTRIBUTE    plain, with __attribute__((shadow("sequential")))
 *
 * The last two have no fences, so two threads on one node may see each other's stores late, as on any x86: they need
 * a node for each thread. In the last three shapes a flag announces plain data, which is weak by default. */
#include "check.h"
#include <sched.h>

#if defined VOLATILE
typedef volatile int cell_t;
#define SEQUENTIAL
#elif defined ATTRIBUTE
typedef int cell_t;
#define SEQUENTIAL __attribute__((shadow("sequential")))
#else
typedef _Atomic int cell_t;
#define SEQUENTIAL
#endif

/* Between two accesses of one thread: no reordering by the compiler. */
#define THEN __asm__ volatile("" ::: "memory")

enum { PARTS = 4, BATCH = 32, SHAPES = 19, OUTCOMES = 1 << 16 };

static const char *const names[SHAPES] = {
	"store buffering", "load buffering", "message passing", "iriw", "2+2W",
	"CoRR", "CoWW", "CoRW", "write-read causality", "exchange",
	"read-write causality", "R", "S", "CoRR of two writers", "fetch and add", "compare and exchange",
	"message passing of plain data", "write-read causality of plain data", "plain data by turns",
};

int main(int argc, char **argv)
{
	CHECK_EQ(argc, 2);
	long batches = atol(argv[1]);
	int nodes = dist_node_count();
	struct cell {
		cell_t value;
		char page[4092];
	} x[BATCH] SEQUENTIAL, y[BATCH] SEQUENTIAL;
	int data[BATCH];                        /* side by side: parts of one object, each under its own flag */
	int seen[PARTS][BATCH][2];
	dist_barrier_t barrier;
	long runs[SHAPES];
	static long counts[SHAPES][OUTCOMES] __attribute__((node_local));

	/* What role `part` does in one run; its loads go to r. */
	void step(int shape, int part, cell_t *a, cell_t *b, int *d, int *r)
	{
		switch (shape * PARTS + part) {
		case 0: *a = 1; THEN; r[0] = *b; break;
		case 1: *b = 1; THEN; r[0] = *a; break;

		case 4: r[0] = *a; THEN; *b = 1; break;
		case 5: r[0] = *b; THEN; *a = 1; break;

		case 8: *a = 1; THEN; *b = 1; break;
		case 9: r[0] = *b; THEN; r[1] = *a; break;

		case 12: *a = 1; break;
		case 13: *b = 1; break;
		case 14: r[0] = *a; THEN; r[1] = *b; break;
		case 15: r[0] = *b; THEN; r[1] = *a; break;

		case 16: *a = 1; THEN; *b = 2; break;
		case 17: *b = 1; THEN; *a = 2; break;

		case 20: *a = 1; break;
		case 21: r[0] = *a; THEN; r[1] = *a; break;

		case 24: *a = 1; THEN; *a = 2; break;
		case 25: r[0] = *a; THEN; r[1] = *a; break;

		case 28: r[0] = *a; THEN; *a = 1; break;
		case 29: *a = 2; break;

		case 32: *a = 1; break;
		case 33: r[0] = *a; THEN; *b = 1; break;
		case 34: r[0] = *b; THEN; r[1] = *a; break;

		case 36: r[0] = __atomic_exchange_n(a, 1, __ATOMIC_SEQ_CST); break;
		case 37: r[0] = __atomic_exchange_n(a, 2, __ATOMIC_SEQ_CST); break;

		case 40: *a = 1; break;
		case 41: r[0] = *a; THEN; r[1] = *b; break;
		case 42: *b = 1; THEN; r[0] = *a; break;

		case 44: *a = 1; THEN; *b = 1; break;
		case 45: *b = 2; THEN; r[0] = *a; break;

		case 48: *a = 2; THEN; *b = 1; break;
		case 49: r[0] = *b; THEN; *a = 1; break;

		case 52: *a = 1; break;
		case 53: *a = 2; break;
		case 54: case 55: r[0] = *a; THEN; r[1] = *a; break;

		case 56: case 57: case 58: case 59: r[0] = __atomic_fetch_add(a, 1, __ATOMIC_SEQ_CST); break;

		case 60: case 61: case 62: case 63: {
			int expected = 0;
			r[0] = __atomic_compare_exchange_n(a, &expected, part + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
			r[1] = expected;
			break;
		}

		case 64: *d = 1; THEN; *b = 1; break;
		case 65: case 66: case 67: r[0] = *b; THEN; r[1] = r[0] ? *d : 0; break;

		case 68: *d = 1; THEN; *a = 1; break;
		case 69: if ((r[0] = *a)) { THEN; *b = 1; } break;
		case 70: r[0] = *b; THEN; r[1] = r[0] ? *d : 0; break;

		/* Whose turn it is writes and hands it on. */
		case 72: case 73: case 74:
			while (*a != part)
				sched_yield();
			THEN;
			r[1] = *d;
			*d = part + 1;
			THEN;
			*a = part + 1;
			break;
		}
	}
	int forbidden(int shape, int i)
	{
		int a = x[i].value, b = y[i].value;
		int *p = seen[0][i], *q = seen[1][i], *r = seen[2][i], *s = seen[3][i];
		switch (shape) {
		case 0: return p[0] == 0 && q[0] == 0;
		case 1: return p[0] == 1 && q[0] == 1;
		case 2: return q[0] == 1 && q[1] == 0;
		case 3: return r[0] == 1 && r[1] == 0 && s[0] == 1 && s[1] == 0;
		case 4: return a == 1 && b == 1;
		case 5: return q[0] == 1 && q[1] == 0;
		case 6: return q[0] > q[1] || a != 2;
		case 7: return p[0] == 2 && a == 2;
		case 8: return q[0] == 1 && r[0] == 1 && r[1] == 0;
		case 9: return !((p[0] == 0 && q[0] == 1 && a == 2) || (q[0] == 0 && p[0] == 2 && a == 1));
		case 10: return q[0] == 1 && q[1] == 0 && r[0] == 0;
		case 11: return b == 2 && p[0] == 0 && q[0] == 0;
		case 12: return q[0] == 1 && a == 2;
		case 13: return r[0] && r[1] && s[0] && s[1] && r[0] != r[1] && r[0] == s[1] && r[1] == s[0];
		case 14: return a != PARTS || (1 << p[0] | 1 << q[0] | 1 << r[0] | 1 << s[0]) != 15;
		case 15:
			for (int part = 0; part < PARTS; part++)
				if (seen[part][i][0] ? a != part + 1 : seen[part][i][1] != a)
					return 1;
			return p[0] + q[0] + r[0] + s[0] != 1;
		case 16: return (q[0] && !q[1]) || (r[0] && !r[1]) || (s[0] && !s[1]);
		case 17: return r[0] && !r[1];
		case 18: return p[1] != 0 || q[1] != 1 || r[1] != 2 || data[i] != 3;
		}
		return 1;
	}
	void judge(int shape, int i)
	{
		unsigned outcome = x[i].value | y[i].value << 2;
		for (int part = 0; part < PARTS; part++)
			outcome = outcome * 16 + seen[part][i][0] * 4 + seen[part][i][1];
		if (forbidden(shape, i)) {
			fprintf(stderr, "forbidden outcome of %s: x %d y %d data %d loads", names[shape], x[i].value, y[i].value, data[i]);
			for (int part = 0; part < PARTS; part++)
				fprintf(stderr, " %d %d", seen[part][i][0], seen[part][i][1]);
			fprintf(stderr, "\n");
			exit(1);
		}
		counts[shape][outcome * 2654435761u >> 16]++;
		runs[shape]++;
	}
	void player(int number)
	{
		int mine[BATCH][2];
		unsigned random = number * 7919 + 1;
		for (long batch = 0; batch < batches; batch++) {
			int shape = batch % SHAPES, part = (number + batch / SHAPES) % PARTS;
			memset(mine, 0, sizeof mine);
			dist_barrier_wait(&barrier);
			for (int i = 0; i < BATCH; i++) {
				/* Up to about the time of a fault, so that all orders of the faults come up. */
				random = random * 1103515245 + 12345;
				for (volatile unsigned pause = (random >> 16) % 20000; pause > 0; pause--)
					;
				step(shape, part, &x[i].value, &y[i].value, &data[i], mine[i]);
			}
			memcpy(seen[part], mine, sizeof mine);
			dist_barrier_wait(&barrier);
			/* The judge is always the thread on node 0; who makes the cells anew changes. */
			if (number == 0)
				for (int i = 0; i < BATCH; i++)
					judge(shape, i);
			dist_barrier_wait(&barrier);
			if (part == 2)
				for (int i = 0; i < BATCH; i++)
					x[i].value = y[i].value = data[i] = 0;
		}
	}

	memset(x, 0, sizeof x);
	memset(y, 0, sizeof y);
	memset(data, 0, sizeof data);
	memset(runs, 0, sizeof runs);
	CHECK_EQ(dist_barrier_init(&barrier, 0, PARTS), 0);
	for (int number = 0; number < PARTS; number++)
		CHECK(dist_thr_create_on(number % nodes, player, number));
	dist_thr_join_all();
	for (int shape = 0; shape < SHAPES; shape++) {
		int kinds = 0;
		for (int i = 0; i < OUTCOMES; i++)
			kinds += counts[shape][i] > 0;
		printf("%ld runs, %d outcomes: %s\n", runs[shape], kinds, names[shape]);
	}
	return 0;
}

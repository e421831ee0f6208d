/* litmus BATCHES: small programs whose outcomes tell memory models apart. Four threads, on the nodes in
 * turn, change roles and run BATCH copies of one shape between two barriers. No outcome that sequential
 * consistency forbids may appear; the number of runs and of different outcomes is printed by shape. */
#include "check.h"

enum { PARTS = 4, BATCH = 32, SHAPES = 10, OUTCOMES = 1 << 16 };

static const char *const names[SHAPES] = {
	"store buffering", "load buffering", "message passing", "iriw", "2+2W",
	"CoRR", "CoWW", "CoRW", "write-read causality", "exchange",
};

int main(int argc, char **argv)
{
	long batches = atol(argv[1]);
	int nodes = dist_node_count();
	struct cell {
		_Atomic int value;
		char page[4092];
	} x[BATCH], y[BATCH];
	int seen[PARTS][BATCH][2];
	dist_barrier_t barrier;
	long runs[SHAPES];
	static long counts[SHAPES][OUTCOMES];

	/* What role `part` does in one run; its loads go to r. */
	void step(int shape, int part, _Atomic int *a, _Atomic int *b, int *r)
	{
		switch (shape * PARTS + part) {
		case 0: *a = 1; r[0] = *b; break;
		case 1: *b = 1; r[0] = *a; break;

		case 4: r[0] = *a; *b = 1; break;
		case 5: r[0] = *b; *a = 1; break;

		case 8: *a = 1; *b = 1; break;
		case 9: r[0] = *b; r[1] = *a; break;

		case 12: *a = 1; break;
		case 13: *b = 1; break;
		case 14: r[0] = *a; r[1] = *b; break;
		case 15: r[0] = *b; r[1] = *a; break;

		case 16: *a = 1; *b = 2; break;
		case 17: *b = 1; *a = 2; break;

		case 20: *a = 1; break;
		case 21: r[0] = *a; r[1] = *a; break;

		case 24: *a = 1; *a = 2; break;
		case 25: r[0] = *a; r[1] = *a; break;

		case 28: r[0] = *a; *a = 1; break;
		case 29: *a = 2; break;

		case 32: *a = 1; break;
		case 33: r[0] = *a; *b = 1; break;
		case 34: r[0] = *b; r[1] = *a; break;

		case 36: r[0] = atomic_exchange(a, 1); break;
		case 37: r[0] = atomic_exchange(a, 2); break;
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
		}
		return 1;
	}
	void judge(int shape, int i)
	{
		int outcome = x[i].value | y[i].value << 2;
		for (int part = 0; part < PARTS; part++)
			outcome = outcome * 9 + seen[part][i][0] * 3 + seen[part][i][1];
		if (forbidden(shape, i)) {
			fprintf(stderr, "forbidden outcome of %s: x %d y %d loads", names[shape], x[i].value, y[i].value);
			for (int part = 0; part < PARTS; part++)
				fprintf(stderr, " %d %d", seen[part][i][0], seen[part][i][1]);
			fprintf(stderr, "\n");
			exit(1);
		}
		counts[shape][(unsigned)outcome % OUTCOMES]++;
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
				step(shape, part, &x[i].value, &y[i].value, mine[i]);
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
					x[i].value = y[i].value = 0;
		}
	}

	memset(x, 0, sizeof x);
	memset(y, 0, sizeof y);
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

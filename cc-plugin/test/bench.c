/* bench.c - loops over captured variables, each in a nested function; and the price of a call.
 *
 *   bench.sh   runs it with plain gcc and through the plugin, at -O2 and -O3
 * Prints nanoseconds per iteration, the least of many rounds.
 */
#include <stdio.h>
#include <time.h>

enum { N = 4096, M = 64, ROUNDS = 60 };
#define NOINLINE __attribute__((noinline))

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

#define MEASURE(name, call, calls, iterations) do { \
		double least = 1e9; \
		for (int round = 0; round < ROUNDS; round++) { \
			double start = now(); \
			for (int r = 0; r < (calls); r++) { call; } \
			double seconds = now() - start; \
			least = seconds < least ? seconds : least; \
		} \
		printf("%s %.4f\n", name, least / (calls) / (iterations) * 1e9); \
	} while (0)

static NOINLINE void use(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); }

static NOINLINE int one_captured_int(int k)
{
	int x = k;
	NOINLINE void bump(void) { x++; }
	bump();
	return x;
}

static void loops(void)
{
	int a[N], sum = 0, left[M][M], right[M][M], product[M][M];
	double x[N], y[N];
	char c[N];
	NOINLINE void store(long k) { for (int i = 0; i < N; i++) a[i] = i + k; }
	NOINLINE int load(long k) { int s = 0; for (int i = 0; i < N; i++) s += a[i]; return s + k; }
	NOINLINE void reduce(void) { for (int i = 0; i < N; i++) sum += a[i]; }
	NOINLINE void stencil(void) { for (int i = 1; i < N - 1; i++) y[i] = (x[i - 1] + x[i] + x[i + 1]) * 0.33; }
	NOINLINE void chars(void) { for (int i = 0; i < N; i++) c[i] = i; }
	NOINLINE void random_increments(unsigned r)
	{
		for (int i = 0; i < N; i++) {
			r = r * 1103515245 + 12345;
			a[(r >> 16) & (N - 1)]++;
		}
	}
	NOINLINE void multiply(void)
	{
		for (int i = 0; i < M; i++)
			for (int j = 0; j < M; j++) {
				int s = 0;
				for (int k = 0; k < M; k++)
					s += left[i][k] * right[k][j];
				product[i][j] = s;
			}
	}
	for (int i = 0; i < N; i++)
		a[i] = x[i] = y[i] = c[i] = 1;
	for (int i = 0; i < M; i++)
		for (int j = 0; j < M; j++)
			left[i][j] = right[i][j] = product[i][j] = i + j;
	volatile int sink;
	MEASURE("store", store(r), 300, N);
	MEASURE("load", sink = load(r), 300, N);
	MEASURE("reduce", reduce(), 300, N);
	MEASURE("stencil", stencil(), 300, N);
	MEASURE("chars", chars(), 300, N);
	MEASURE("random", random_increments(r), 100, N);
	MEASURE("multiply", multiply(), 8, M * M * M);
	MEASURE("call", sink = one_captured_int(r), 100000, 1);
	use(a), use(&sum), use(x), use(y), use(c), use(left), use(right), use(product);
}

int main(void)
{
	loops();
	return 0;
}

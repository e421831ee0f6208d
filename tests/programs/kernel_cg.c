/* kernel_cg [THREADS [SIZE [PER_ROW]]]: a random sparse system of equations by conjugate gradients.
 *
 * Pattern: irregular gather with reductions. Algorithm: M. Hestenes, E. Stiefel, Methods of conjugate gradients
 * for solving linear systems, 1952; the matrix is random, symmetric and dominated by its diagonal.
 *
 * Every thread owns some rows and reads the vector p at random places. A reduction is an array with an element
 * for each thread, adjacent and so falsely shared, added up by everybody in the same order.
 *
 * Checked: bit for bit the serial result with the same order of additions; the solution is all ones. */
#include "kernel.h"

enum { STEPS_MAX = 200 };
#define TOLERANCE 1e-20

/* Compressed sparse rows: row i has the entries begin[i] to begin[i + 1] - 1. */
struct entry {
	int column;
	double value;
};

/* Both halves of a symmetric matrix and its diagonal, from the same random numbers in each call. */
static void make_matrix(int size, int per_row, int *begin, struct entry *entries)
{
	int *fill = private_bytes(size * sizeof *fill);
	for (int pass = 0; pass < 2; pass++) {
		unsigned long random = 1;
		for (int row = 0; row < size; row++) {
			for (int i = 0; i < per_row; i++) {
				int column = random_bits(&random) % size;
				double value = random_unit(&random) - 0.5;
				if (pass) {
					entries[fill[row]++] = (struct entry) { column, value };
					entries[fill[column]++] = (struct entry) { row, value };
				} else {
					fill[row]++;
					fill[column]++;
				}
			}
			/* Twice per_row entries below 1/2 on average; a row that others chose often has more. */
			if (pass)
				entries[fill[row]++] = (struct entry) { row, 4.0 * per_row };
			else
				fill[row]++;
		}
		if (!pass) {
			begin[0] = 0;
			for (int row = 0; row < size; row++)
				begin[row + 1] = begin[row] + fill[row];
			memcpy(fill, begin, size * sizeof *fill);
		}
	}
	free(fill);
}

static double row_times(const int *begin, const struct entry *entries, int row, const double *vector)
{
	double sum = 0;
	for (int i = begin[row]; i < begin[row + 1]; i++)
		sum += entries[i].value * vector[entries[i].column];
	return sum;
}

static double dot(const double *left, const double *right, int first, int last)
{
	double sum = 0;
	for (int i = first; i < last; i++)
		sum += left[i] * right[i];
	return sum;
}

static double total(const double *parts, int count)
{
	double sum = 0;
	for (int i = 0; i < count; i++)
		sum += parts[i];
	return sum;
}

/* x, by one thread that adds in the order of `threads` threads. Returns the steps. */
static int solve_alone(int size, int threads, const int *begin, const struct entry *entries, double *x)
{
	double *r = private_bytes(size * sizeof *r), *p = private_bytes(size * sizeof *p);
	double *q = private_bytes(size * sizeof *q), *parts = private_bytes(threads * sizeof *parts);
	double sum_of(const double *left, const double *right)
	{
		for (int part = 0; part < threads; part++)
			parts[part] = dot(left, right, share(size, part, threads), share(size, part + 1, threads));
		return total(parts, threads);
	}
	for (int i = 0; i < size; i++)
		x[i] = 1;
	for (int i = 0; i < size; i++)
		r[i] = p[i] = row_times(begin, entries, i, x);
	memset(x, 0, size * sizeof *x);
	double rho = sum_of(r, r);
	int step = 0;
	for (; step < STEPS_MAX && rho >= TOLERANCE; step++) {
		for (int i = 0; i < size; i++)
			q[i] = row_times(begin, entries, i, p);
		double alpha = rho / sum_of(p, q);
		for (int i = 0; i < size; i++) {
			x[i] += alpha * p[i];
			r[i] -= alpha * q[i];
		}
		double before = rho;
		rho = sum_of(r, r);
		for (int i = 0; i < size; i++)
			p[i] = r[i] + rho / before * p[i];
	}
	free(r), free(p), free(q), free(parts);
	return step;
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int size = argument(argc, argv, 2, 3000);
	int per_row = argument(argc, argv, 3, 6);
	int begin[size + 1];
	struct entry entries[size * (2 * per_row + 1)];
	double x[size], r[size], p[size], q[size], parts[2][threads];
	int steps = 0;
	dist_barrier_t barrier;

	/* The sum of all threads' parts. Two of them in turn, so that nobody overwrites what others still read. */
	double reduce(int which, int thread, double own)
	{
		parts[which][thread] = own;
		dist_barrier_wait(&barrier);
		return total(parts[which], threads);
	}

	void work(int thread)
	{
		int first = share(size, thread, threads), last = share(size, thread + 1, threads);
		for (int i = first; i < last; i++)
			x[i] = 1;
		dist_barrier_wait(&barrier);
		for (int i = first; i < last; i++)
			r[i] = p[i] = row_times(begin, entries, i, x);
		double rho = reduce(0, thread, dot(r, r, first, last));
		for (int i = first; i < last; i++)
			x[i] = 0;
		int step = 0;
		for (; step < STEPS_MAX && rho >= TOLERANCE; step++) {
			for (int i = first; i < last; i++)
				q[i] = row_times(begin, entries, i, p);
			double alpha = rho / reduce(1, thread, dot(p, q, first, last));
			for (int i = first; i < last; i++) {
				x[i] += alpha * p[i];
				r[i] -= alpha * q[i];
			}
			double before = rho;
			rho = reduce(0, thread, dot(r, r, first, last));
			for (int i = first; i < last; i++)
				p[i] = r[i] + rho / before * p[i];
			dist_barrier_wait(&barrier);
		}
		if (thread == 0)
			steps = step;
	}

	CHECK(threads >= 1 && size >= 1 && per_row >= 0);
	dist_barrier_init(&barrier, 0, threads);
	make_matrix(size, per_row, begin, entries);
	run_threads(threads, work);

	double *reference = private_bytes(size * sizeof *reference);
	CHECK_EQ(steps, solve_alone(size, threads, begin, entries, reference));
	CHECK(steps < STEPS_MAX);
	CHECK(memcmp(x, reference, size * sizeof *x) == 0);
	for (int i = 0; i < size; i++)
		CHECK(fabs(x[i] - 1) < 1e-8);
	return verified("cg", threads);
}

/* kernel_stencil [THREADS [SIZE]]: Laplace's equation on a square by red-black over-relaxation.
 *
 * Pattern: stencil with barriers, and a reduction in each sweep. Algorithm: successive over-relaxation in
 * red-black order, D. M. Young, Iterative solution of large linear systems, 1971; the ocean programs of
 * the old suites solve their elliptic equations with it.
 *
 * A row isn't a multiple of a page, so two neighbours write disjoint bytes of the page at their border, and each
 * reads the other's black points while that one writes the red points between them. No race: every double has
 * one writer, and nobody reads it in that half of a sweep.
 *
 * Checked: bit for bit the serial result, after equally many sweeps; near x * x - y * y, which is the solution. */
#include "kernel.h"

#define TOLERANCE 1e-9

static double solution(int size, int row, int column)
{
	double y = (double)row / size, x = (double)column / size;
	return x * x - y * y;
}

static void set_edges(int size, double (*grid)[size])
{
	memset(grid, 0, size * sizeof *grid);
	for (int i = 0; i < size; i++) {
		grid[0][i] = solution(size, 0, i);
		grid[size - 1][i] = solution(size, size - 1, i);
		grid[i][0] = solution(size, i, 0);
		grid[i][size - 1] = solution(size, i, size - 1);
	}
}

/* The points of one colour in the rows first to last - 1. Returns the largest change. */
static double relax(int size, double (*grid)[size], int colour, int first, int last)
{
	double factor = 2 / (1 + sin(M_PI / (size - 1))), largest = 0;
	for (int row = first; row < last; row++)
		for (int column = 1 + (row + colour) % 2; column < size - 1; column += 2) {
			double mean = (grid[row - 1][column] + grid[row + 1][column] + grid[row][column - 1] + grid[row][column + 1]) / 4;
			double change = factor * (mean - grid[row][column]);
			grid[row][column] += change;
			largest = fmax(largest, fabs(change));
		}
	return largest;
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int size = argument(argc, argv, 2, 48);
	double grid[size][size], largest[2][threads];
	int sweeps = 0;
	dist_barrier_t barrier;

	void work(int thread)
	{
		int first = 1 + share(size - 2, thread, threads), last = 1 + share(size - 2, thread + 1, threads);
		for (int sweep = 1;; sweep++) {
			double own = 0;
			for (int colour = 0; colour < 2; colour++) {
				own = fmax(own, relax(size, grid, colour, first, last));
				if (colour == 1)
					largest[sweep % 2][thread] = own;
				dist_barrier_wait(&barrier);
			}
			double all = 0;
			for (int i = 0; i < threads; i++)
				all = fmax(all, largest[sweep % 2][i]);
			if (all < TOLERANCE) {
				if (thread == 0)
					sweeps = sweep;
				return;
			}
		}
	}

	CHECK(threads >= 1 && size >= 3);
	dist_barrier_init(&barrier, 0, threads);
	set_edges(size, grid);
	run_threads(threads, work);

	double (*reference)[size] = private_bytes(size * sizeof *reference);
	set_edges(size, reference);
	int reference_sweeps = 0;
	for (double change = 1; change >= TOLERANCE; reference_sweeps++) {
		change = relax(size, reference, 0, 1, size - 1);
		change = fmax(change, relax(size, reference, 1, 1, size - 1));
	}
	CHECK_EQ(sweeps, reference_sweeps);
	CHECK(memcmp(grid, reference, size * sizeof *reference) == 0);
	for (int row = 0; row < size; row++)
		for (int column = 0; column < size; column++)
			CHECK(fabs(grid[row][column] - solution(size, row, column)) < 1e-6);
	return verified("stencil", threads);
}

/* kernel_pipeline [THREADS [ROWS [COLUMNS [ROUNDS]]]]: a recurrence over a grid, as a pipeline of threads.
 *
 * Pattern: producer and consumer with flags. Algorithm: the wavefront of the Parallel Research Kernels' point-to-point
 * synchronization: R. Van der Wijngaart, T. Mattson, The parallel research kernels, HPEC 2014. Point (i, j) needs (i - 1, j),
 * (i, j - 1) and (i - 1, j - 1); each thread has some columns and begins a row when its left neighbour has raised its
 * flag for it. After each round the last corner, negated, is the first corner of the next.
 *
 * The flags are _Atomic, the grid is plain: the neighbour's column is read because its flag was.
 *
 * Checked: the closed formula of the corner after each round; bit for bit the serial grid. */
#include "kernel.h"

static void set_edges(int rows, int columns, double (*grid)[columns])
{
	memset(grid, 0, rows * sizeof *grid);
	for (int column = 0; column < columns; column++)
		grid[0][column] = column;
	for (int row = 0; row < rows; row++)
		grid[row][0] = row;
}

static void fill(int columns, double (*grid)[columns], int row, int first, int last)
{
	for (int column = first; column < last; column++)
		grid[row][column] = grid[row - 1][column] + grid[row][column - 1] - grid[row - 1][column - 1];
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int rows = argument(argc, argv, 2, 24);
	int columns = argument(argc, argv, 3, 100);
	int rounds = argument(argc, argv, 4, 5);
	double grid[rows][columns];
	struct {
		_Atomic int row;                /* rows done, counted over all rounds */
		char page[4092];
	} flags[threads];
	int wrong_rounds = 0;

	void wait_for(int thread, int row)
	{
		for (int looks = 0; flags[thread].row < row; looks++)
			wait_a_little(looks);
	}

	void work(int thread)
	{
		int first = 1 + share(columns - 1, thread, threads), last = 1 + share(columns - 1, thread + 1, threads);
		for (int round = 0; round < rounds; round++) {
			/* The corner of this round comes from the last thread. */
			if (thread == 0 && round > 0) {
				wait_for(threads - 1, round * rows);
				wrong_rounds += grid[rows - 1][columns - 1] != (double)round * (rows + columns - 2);
				grid[0][0] = -grid[rows - 1][columns - 1];
			}
			for (int row = 1; row < rows; row++) {
				if (thread > 0)
					wait_for(thread - 1, round * rows + row);
				fill(columns, grid, row, first, last);
				flags[thread].row = round * rows + row;
			}
			flags[thread].row = (round + 1) * rows;
		}
	}

	CHECK(threads >= 1 && rows >= 2 && columns > threads && rounds >= 1);
	set_edges(rows, columns, grid);
	for (int thread = 0; thread < threads; thread++)
		flags[thread].row = 0;
	run_threads(threads, work);
	CHECK_EQ(wrong_rounds, 0);
	CHECK_EQ(grid[rows - 1][columns - 1], (long)rounds * (rows + columns - 2));

	double (*reference)[columns] = private_bytes(rows * sizeof *reference);
	set_edges(rows, columns, reference);
	for (int round = 0; round < rounds; round++) {
		if (round > 0)
			reference[0][0] = -reference[rows - 1][columns - 1];
		for (int row = 1; row < rows; row++)
			fill(columns, reference, row, 1, columns);
	}
	CHECK(memcmp(grid, reference, rows * sizeof *reference) == 0);
	return verified("pipeline", threads);
}

/* kernel_lu [THREADS [BLOCKS [BLOCK]]]: a dense matrix in two triangles.
 *
 * Pattern: blocks with one writer and many readers, ever fewer of them. Algorithm: right-looking blocked LU without
 * pivoting, J. Dongarra et al., Solving linear systems on vector and shared memory computers, 1991; blocks are dealt to the
 * threads in both directions and each lies in one piece, as in the old suites' LU programs.
 *
 * The diagonal dominates, so no pivot is near zero.
 *
 * Checked: bit for bit the serial result; the product of the triangles is the matrix. */
#include "kernel.h"

/* The element (row, column) of a block in one piece. */
#define AT(block, row, column) (block)[(row) * size + (column)]

static void set_up(double *matrix, int blocks, int size)
{
	unsigned long random = 6;
	int order = blocks * size;
	for (int row = 0; row < order; row++)
		for (int column = 0; column < order; column++) {
			double *block = matrix + ((row / size) * blocks + column / size) * size * size;
			AT(block, row % size, column % size) = random_unit(&random) + (row == column ? order : 0);
		}
}

static void factor_diagonal(double *diagonal, int size)
{
	for (int k = 0; k < size; k++)
		for (int row = k + 1; row < size; row++) {
			double factor = AT(diagonal, row, k) /= AT(diagonal, k, k);
			for (int column = k + 1; column < size; column++)
				AT(diagonal, row, column) -= factor * AT(diagonal, k, column);
		}
}

/* A block below the diagonal one: times the inverse of its upper triangle. */
static void solve_left(double *block, const double *diagonal, int size)
{
	for (int k = 0; k < size; k++)
		for (int row = 0; row < size; row++) {
			double factor = AT(block, row, k) /= AT(diagonal, k, k);
			for (int column = k + 1; column < size; column++)
				AT(block, row, column) -= factor * AT(diagonal, k, column);
		}
}

/* A block right of the diagonal one: the inverse of its lower triangle times the block. */
static void solve_upper(double *block, const double *diagonal, int size)
{
	for (int k = 0; k < size; k++)
		for (int row = k + 1; row < size; row++)
			for (int column = 0; column < size; column++)
				AT(block, row, column) -= AT(diagonal, row, k) * AT(block, k, column);
}

static void subtract_product(double *block, const double *left, const double *upper, int size)
{
	for (int row = 0; row < size; row++)
		for (int k = 0; k < size; k++)
			for (int column = 0; column < size; column++)
				AT(block, row, column) -= AT(left, row, k) * AT(upper, k, column);
}

/* Works on the blocks that are `mine`; `meet` is called where others' blocks are needed next. */
static void factor(double *matrix, int blocks, int size, int mine(int row, int column), void meet(void))
{
	double *block(int row, int column) { return matrix + (row * blocks + column) * size * size; }
	for (int k = 0; k < blocks; k++) {
		if (mine(k, k))
			factor_diagonal(block(k, k), size);
		meet();
		for (int i = k + 1; i < blocks; i++) {
			if (mine(i, k))
				solve_left(block(i, k), block(k, k), size);
			if (mine(k, i))
				solve_upper(block(k, i), block(k, k), size);
		}
		meet();
		for (int row = k + 1; row < blocks; row++)
			for (int column = k + 1; column < blocks; column++)
				if (mine(row, column))
					subtract_product(block(row, column), block(row, k), block(k, column), size);
		/* No meeting here: the next diagonal block is changed by the one who has just updated it. */
	}
}

static void check_product(const double *factors, const double *matrix, int blocks, int size)
{
	int order = blocks * size;
	double at(const double *blocked, int row, int column)
	{
		return AT(blocked + ((row / size) * blocks + column / size) * size * size, row % size, column % size);
	}
	for (int row = 0; row < order; row++)
		for (int column = 0; column < order; column++) {
			double sum = 0;
			for (int k = 0; k <= row && k <= column; k++)
				sum += (k == row ? 1 : at(factors, row, k)) * at(factors, k, column);
			CHECK(fabs(sum - at(matrix, row, column)) < 1e-9 * order);
		}
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int blocks = argument(argc, argv, 2, 8);
	int size = argument(argc, argv, 3, 12);
	long elements = (long)blocks * blocks * size * size;
	double matrix[elements];
	dist_barrier_t barrier;

	void work(int thread)
	{
		/* Threads in a rectangle as near to a square as can be. */
		int rows = 1;
		for (int i = 1; i * i <= threads; i++)
			if (threads % i == 0)
				rows = i;
		int columns = threads / rows;
		int mine(int row, int column) { return row % rows * columns + column % columns == thread; }
		void meet(void) { dist_barrier_wait(&barrier); }
		factor(matrix, blocks, size, mine, meet);
	}

	CHECK(threads >= 1 && blocks >= 1 && size >= 1);
	dist_barrier_init(&barrier, 0, threads);
	set_up(matrix, blocks, size);
	run_threads(threads, work);

	double *reference = private_bytes(elements * sizeof *reference), *original = private_bytes(elements * sizeof *original);
	set_up(reference, blocks, size);
	set_up(original, blocks, size);
	int all(int row, int column) { return row >= 0 && column >= 0; }
	void nobody(void) { }
	factor(reference, blocks, size, all, nobody);
	CHECK(memcmp(matrix, reference, elements * sizeof *reference) == 0);
	check_product(reference, original, blocks, size);
	return verified("lu", threads);
}

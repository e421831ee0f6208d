/* grids.h - the two kernels on private memory, the same for ours and for MPI's. */

enum { ROWS = 1000, COLUMNS = 1000, HALF = COLUMNS / 2 };

typedef double half_t[HALF];

/* A row of the recurrence: point (i, j) from (i - 1, j), (i, j - 1) and (i - 1, j - 1). `left`, `above_left`: what lies
 * before the first of `count` points. */
static inline void fill(double *row, const double *above, double left, double above_left, int count)
{
    for (int column = 0; column < count; column++) {
        left = row[column] = above[column] + left - above_left;
        above_left = above[column];
    }
}

/* The edges are what they are, all else 0. `node`: whose half. */
static inline void set_edges(half_t *half, int node)
{
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < HALF; column++)
            half[row][column] = row == 0 ? column + node * HALF : column || node ? 0 : row;
}

/* The corner after so many rounds: each adds that of the first. */
static inline double corner_after(int rounds) { return (double)rounds * (ROWS + COLUMNS - 2); }

/* A Jacobi step for rows first to end - 1 of a plate of SIDE x SIDE: each inner point becomes the mean of its neighbours. */
enum { SIDE = 1024 };

typedef double line_t[SIDE];

/* Warm in many places, so that every step changes every page. */
static inline void heat(line_t *plate)
{
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            plate[row][column] = (row * 7 + column * 13) % 101;
}

static __attribute__((noinline, unused)) void relax(const line_t *from, line_t *to, int first, int end)
{
    for (int row = first; row < end; row++)
        for (int column = 1; column < SIDE - 1; column++)
            to[row][column] = 0.25 * (from[row - 1][column] + from[row + 1][column] + from[row][column - 1] + from[row][column + 1]);
}

/* pipeline.c: a recurrence over a grid of 1000 x 1000, whose rows one node passes on to the other: the point-to-point kernel
 * of R. Van der Wijngaart, T. Mattson, The parallel research kernels, HPEC 2014. Point (i, j) needs (i - 1, j), (i, j - 1)
 * and (i - 1, j - 1). Each node has half of the columns, and begins a row when its neighbour has done its part of it.
 * After the last row the corner, negated, is the first corner of the next round. For each row:
 *
 *     grid_flag         the grid is one shared array; a row is passed on by an _Atomic flag
 *     grid_semaphore    the same by a semaphore
 *     edge_flag         the halves are private, the column between them is shared
 *     edge_semaphore
 *
 * Estimate over TCP: 4 us a row: 500 points at 1.2 ns, and the way of two messages that nobody waits for. */
#include "burst.h"
#include "grids.h"

enum { ROUNDS_MAX = 40 };

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) / 40 + 3 : 13, last = dist_node_count() - 1;
    if (rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    double (*grid)[COLUMNS] = dist_aligned_alloc(PAGE, ROWS * sizeof *grid);
    double *edge = dist_aligned_alloc(PAGE, ROWS * sizeof *edge), corner = 0;
    /* Each on the node that waits for it. */
    dist_sem_t *passed, finished;
    void make_passed(int unused)
    {
        (void)unused;
        passed = dist_malloc(sizeof *passed);
        dist_sem_init(passed, 0, 0);
    }
    dist_barrier_t both;
    _Atomic int passed_rows = 0, finished_rows = 0;

    /* Node 0 passes rows on by flag or semaphore 0, node 1 the end of a round by the other. */
    _Atomic int *flag_of(int node) { return node == 0 ? &passed_rows : &finished_rows; }
    void pass_on(int by_flag, int node, int rows)
    {
        if (by_flag)
            *flag_of(node) = rows;
        else
            dist_sem_post(node == 0 ? passed : &finished);
    }
    void wait_for(int by_flag, int node, int rows)
    {
        if (!by_flag)
            dist_sem_wait(node == 0 ? passed : &finished);
        while (by_flag && *flag_of(node) < rows)
            ;
    }

    void grid_round(int by_flag, int node, int done)
    {
        int first = node == 0 ? 1 : HALF, end = node == 0 ? HALF : COLUMNS;
        if (node == 0 && done > 0) {
            wait_for(by_flag, 1, done);
            grid[0][0] = -grid[ROWS - 1][COLUMNS - 1];
        }
        for (int row = 1; row < ROWS; row++) {
            if (node == 1)
                wait_for(by_flag, 0, done + row);
            fill(grid[row] + first, grid[row - 1] + first, grid[row][first - 1], grid[row - 1][first - 1], end - first);
            if (node == 0)
                pass_on(by_flag, 0, done + row);
        }
        if (node == 1)
            pass_on(by_flag, 1, done + ROWS);
    }
    void edge_round(int by_flag, int node, int done)
    {
        static half_t half[ROWS] __attribute__((node_local));
        if (done == 0)
            set_edges(half, node);
        if (node == 0 && done > 0) {
            wait_for(by_flag, 1, done);
            half[0][0] = -corner;
        }
        for (int row = 1; row < ROWS; row++) {
            if (node == 0) {
                fill(half[row] + 1, half[row - 1] + 1, half[row][0], half[row - 1][0], HALF - 1);
                edge[row] = half[row][HALF - 1];
                pass_on(by_flag, 0, done + row);
            } else {
                wait_for(by_flag, 0, done + row);
                fill(half[row], half[row - 1], edge[row], edge[row - 1], HALF);
            }
        }
        if (node == 1) {
            corner = half[ROWS - 1][HALF - 1];
            pass_on(by_flag, 1, done + ROWS);
        }
    }

    void work(int variant)
    {
        static struct samples samples;
        int node = dist_thr_node(), by_flag = variant / 2;
        burst(node);
        dist_barrier_wait(&both);
        for (int round = 0; round < rounds; round++) {
            long start = now_ns();
            if (variant % 2)
                edge_round(by_flag, node, round * ROWS);
            else
                grid_round(by_flag, node, round * ROWS);
            /* The first ones find out what is shared how. */
            if (round >= 2)
                add_sample(&samples, (double)(now_ns() - start) / ROWS);
        }
        dist_barrier_wait(&both);
        static const char *const names[] = { "grid_semaphore", "edge_semaphore", "grid_flag", "edge_flag" };
        if (node == 0)
            report(names[variant], &samples);
    }

    dist_thr_join(dist_thr_create_on(last, make_passed, 0));
    dist_sem_init(&finished, 0, 0);
    dist_barrier_init(&both, 0, 2);
    for (int variant = 0; variant < 4; variant++) {
        memset(grid, 0, ROWS * sizeof *grid);
        for (int i = 0; i < COLUMNS; i++)
            grid[0][i] = grid[i][0] = i;
        edge[0] = HALF - 1;
        passed_rows = finished_rows = 0;
        dist_thr_create_on(0, work, variant);
        dist_thr_create_on(last, work, variant);
        dist_thr_join_all();
        if (variant % 2 == 0)
            corner = grid[ROWS - 1][COLUMNS - 1];
        if (corner != corner_after(rounds)) {
            fprintf(stderr, "variant %d: the corner is %f\n", variant, corner);
            return 1;
        }
        while (dist_sem_trywait(&finished) == 0)
            ;
    }
}

/* Jacobi iteration: heat spreads over a plate; barriers keep the threads in step.
 *
 *     umbel cc -O2 jacobi.c -o jacobi
 *     umbel run -n 4 ./jacobi
 *
 * The upper edge of the plate is kept at 100 degrees, the other edges at 0.  In each step every inner
 * point becomes the mean of its four neighbours.  There are two plates, read and written in turn, and
 * all threads wait for each other between two steps.
 *
 * A row of 512 doubles fills one page of 4 KiB, the unit in which large arrays travel.  So in each step
 * only the border rows of the threads move between nodes (`umbel run --stats` shows it).
 *
 * Expect some temperatures down the middle of the plate, and "same as one thread: yes".
 */
#include <stdio.h>
#include <string.h>

enum { ROWS = 64, COLUMNS = 512, STEPS = 100, THREADS = 4 };

typedef double row_t[COLUMNS];

static void heat_upper_edge(row_t *plate)
{
    memset(plate, 0, ROWS * sizeof *plate);
    for (int column = 0; column < COLUMNS; column++)
        plate[0][column] = 100;
}

/* One step for the inner rows first to last - 1. */
static void relax(row_t *from, row_t *to, int first, int last)
{
    for (int row = first; row < last; row++)
        for (int column = 1; column < COLUMNS - 1; column++)
            to[row][column] = (from[row - 1][column] + from[row + 1][column] +
                               from[row][column - 1] + from[row][column + 1]) / 4;
}

int main(void)
{
    row_t plates[2][ROWS];              /* used by the threads, so shared */
    dist_barrier_t step_done;
    row_t alone[2][ROWS];               /* used by main only, so private: for comparison */

    void work(int thread) {
        int first = 1 + thread * (ROWS - 2) / THREADS;
        int last = 1 + (thread + 1) * (ROWS - 2) / THREADS;
        for (int step = 0; step < STEPS; step++) {
            relax(plates[step % 2], plates[(step + 1) % 2], first, last);
            dist_barrier_wait(&step_done);
        }
    }

    dist_barrier_init(&step_done, 0, THREADS);
    for (int plate = 0; plate < 2; plate++) {
        heat_upper_edge(plates[plate]);
        heat_upper_edge(alone[plate]);
    }

    for (int thread = 0; thread < THREADS; thread++)
        dist_thr_create(work, thread);
    dist_thr_join_all();

    for (int step = 0; step < STEPS; step++)
        relax(alone[step % 2], alone[(step + 1) % 2], 1, ROWS - 1);

    for (int row = 0; row <= 20; row += 4)
        printf("row %2d: %6.2f degrees\n", row, plates[STEPS % 2][row][COLUMNS / 2]);
    int same = !memcmp(plates[STEPS % 2], alone[STEPS % 2], sizeof plates[0]);
    printf("same as one thread: %s\n", same ? "yes" : "NO");
    return !same;
}

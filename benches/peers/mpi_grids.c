/* mpi_grids.c COUNT: the kernels of pipeline.c and jacobi.c with messages, on two ranks.
 *
 *     row           of the recurrence's grid: each rank has half of the columns, the border's point is sent
 *     jacobi_1      a step by rank 0 alone
 *     jacobi_2      a step by both: half of the rows each, border rows are exchanged
 *
 * Estimate over TCP: 3 us; 700 us; 370 us. */
#include "burst.h"
#include "grids.h"
#include <mpi.h>

enum { WARM_UP = 40, STEPS_MAX = 400, CORNER = ROWS };

static int rank, other;
static struct samples samples;

static void finish(const char *name)
{
    if (rank == 0)
        report(name, &samples);
    samples.count = 0;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void send_point(double point, int tag) { MPI_Send(&point, 1, MPI_DOUBLE, other, tag, MPI_COMM_WORLD); }

static double receive_point(int tag)
{
    double point;
    MPI_Recv(&point, 1, MPI_DOUBLE, other, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return point;
}

static void rows(int rounds)
{
    static half_t half[ROWS];
    double corner = 0;
    set_edges(half, rank);
    for (int round = 0; round < rounds; round++) {
        long start = now_ns();
        double above_left = HALF - 1;
        if (rank == 0 && round > 0)
            half[0][0] = -(corner = receive_point(CORNER));
        for (int row = 1; row < ROWS; row++)
            if (rank == 0) {
                fill(half[row] + 1, half[row - 1] + 1, half[row][0], half[row - 1][0], HALF - 1);
                send_point(half[row][HALF - 1], row);
            } else {
                double left = receive_point(row);
                fill(half[row], half[row - 1], left, above_left, HALF);
                above_left = left;
            }
        if (rank == 1)
            send_point(half[ROWS - 1][HALF - 1], CORNER);
        if (round >= 2)
            add_sample(&samples, (double)(now_ns() - start) / ROWS);
    }
    if (rank == 0 && receive_point(CORNER) != corner_after(rounds)) {
        fprintf(stderr, "the corner is wrong\n");
        exit(1);
    }
    finish("row");
}

static line_t plates[2][SIDE];

static void jacobi(int ranks, int steps)
{
    int middle = ranks == 1 ? SIDE - 1 : SIDE / 2;
    int first = rank == 0 ? 1 : middle, end = rank == 0 ? middle : SIDE - 1;
    /* The border row of mine, and the place of the other one's. */
    int border = rank == 0 ? middle - 1 : middle, halo = rank == 0 ? middle : middle - 1;
    heat(plates[0]);
    heat(plates[1]);
    MPI_Barrier(MPI_COMM_WORLD);
    for (int step = 0; rank < ranks && step < steps; step++) {
        long start = now_ns();
        line_t *to = plates[(step + 1) % 2];
        relax(plates[step % 2], to, first, end);
        if (ranks == 2)
            MPI_Sendrecv(to[border], SIDE, MPI_DOUBLE, other, 0, to[halo], SIDE, MPI_DOUBLE, other, 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
        if (step >= WARM_UP)
            add_sample(&samples, now_ns() - start);
    }
    finish(ranks == 1 ? "jacobi_1" : "jacobi_2");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    other = 1 - rank;
    int count = argc > 1 ? atoi(argv[1]) : 400, steps = WARM_UP + count / 4;
    burst(rank);
    rows(count / 40 + 3);
    jacobi(1, steps < STEPS_MAX ? steps : STEPS_MAX);
    jacobi(2, steps < STEPS_MAX ? steps : STEPS_MAX);
    MPI_Finalize();
}

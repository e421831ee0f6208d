/* shmem.c COUNT: what OpenSHMEM takes for the same, in shared memory: two elements.
 *
 *     rtt_64         64 bytes put and a flag set, there and back
 *     get_4096       shmem_getmem of a page
 *     barrier        shmem_barrier_all
 *     window_lock    shmem_set_lock, what it guards got, changed and put, shmem_clear_lock; for each change of hands
 *     row            of pipeline.c's grid: the border's point is put, then its flag
 *
 * Debian's ends in shmem_finalize with a fault, after everything is printed.
 * Estimate: 0.4, 0.1, 0.4, 0.4, 0.6 us. */
#include "burst.h"
#include "grids.h"
#include <shmem.h>
#include <sys/resource.h>

enum { BATCH = 20, WARM_UP = 100 };

static int rank, other;
static struct samples samples;

/* Symmetric: at the same place in both. */
static char page[PAGE];
static long flag, lock, guarded[3], row_flag, corner_flag;
static double edge[ROWS], corner;

static void finish(const char *name)
{
    if (rank == 0)
        report(name, &samples);
    samples.count = 0;
    shmem_barrier_all();
}

static void round_trips(int count)
{
    for (long i = 1; i <= count + WARM_UP; i++) {
        long start = now_ns();
        if (rank == 1)
            shmem_long_wait_until(&flag, SHMEM_CMP_GE, i);
        shmem_putmem(page, page + 64, 64, other);
        shmem_fence();
        shmem_long_p(&flag, i, other);
        if (rank == 0)
            shmem_long_wait_until(&flag, SHMEM_CMP_GE, i);
        if (i > WARM_UP)
            add_sample(&samples, now_ns() - start);
    }
    finish("rtt_64");
}

static void barriers(int count)
{
    for (int i = -WARM_UP; i < count; i++) {
        long start = now_ns();
        shmem_barrier_all();
        if (i >= 0)
            add_sample(&samples, now_ns() - start);
    }
    finish("barrier");
}

static void gets(int count)
{
    static char mine[PAGE];
    for (int i = -WARM_UP; rank == 0 && i < count; i++) {
        long start = now_ns();
        shmem_getmem(mine, page, PAGE, 1);
        if (i >= 0)
            add_sample(&samples, now_ns() - start);
    }
    finish("get_4096");
}

/* What is guarded, on element 0: changes of hands, who had it last, whether it is over. */
static void locks(int count)
{
    long mine[3] = { 0, 0, 0 }, turns = 0, start = now_ns(), changes = 0;
    while (!mine[2]) {
        shmem_set_lock(&lock);
        shmem_getmem(mine, guarded, sizeof mine, 0);
        mine[0] += mine[1] != rank;
        mine[1] = rank;
        mine[2] |= rank == 1 && turns > count;
        shmem_putmem(guarded, mine, sizeof mine, 0);
        shmem_quiet();
        shmem_clear_lock(&lock);
        if (rank == 1 && turns++ % BATCH == 0) {
            if (turns > BATCH && mine[0] > changes)
                add_sample(&samples, (double)(now_ns() - start) / (mine[0] - changes));
            start = now_ns(), changes = mine[0];
        }
    }
    if (rank == 1)
        report("window_lock", &samples);
    finish("");
}

static void rows(int rounds)
{
    static half_t half[ROWS];
    set_edges(half, rank);
    edge[0] = HALF - 1;
    shmem_barrier_all();
    for (int round = 0; round < rounds; round++) {
        long start = now_ns(), done = (long)round * ROWS;
        if (rank == 0 && round > 0) {
            shmem_long_wait_until(&corner_flag, SHMEM_CMP_GE, round);
            half[0][0] = -corner;
        }
        for (int row = 1; row < ROWS; row++)
            if (rank == 0) {
                fill(half[row] + 1, half[row - 1] + 1, half[row][0], half[row - 1][0], HALF - 1);
                shmem_double_p(&edge[row], half[row][HALF - 1], 1);
                shmem_fence();
                shmem_long_p(&row_flag, done + row, 1);
            } else {
                shmem_long_wait_until(&row_flag, SHMEM_CMP_GE, done + row);
                fill(half[row], half[row - 1], edge[row], edge[row - 1], HALF);
            }
        if (rank == 1) {
            shmem_double_p(&corner, half[ROWS - 1][HALF - 1], 0);
            shmem_fence();
            shmem_long_p(&corner_flag, round + 1, 0);
        }
        if (round >= 2)
            add_sample(&samples, (double)(now_ns() - start) / ROWS);
    }
    finish("row");
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500;
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    shmem_init();
    rank = shmem_my_pe();
    other = 1 - rank;
    burst(rank);
    round_trips(count);
    barriers(count);
    gets(count);
    locks(count);
    rows(count / 40 + 3);
    shmem_finalize();
}

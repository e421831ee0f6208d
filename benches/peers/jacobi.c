/* jacobi.c COUNT: Jacobi iteration on a plate of 1024 x 1024, half of the rows on each node; a barrier between two steps.
 *
 *     jacobi_1      a step by one thread, in private memory
 *     jacobi_2      a step by two nodes
 *
 * Estimate: 700 us, bound by memory's bandwidth; over TCP 390 us: half of that, and 30 us for two border rows of two
 * pages each way and a barrier. */
#include "burst.h"
#include "grids.h"

enum { WARM_UP = 40, STEPS_MAX = 400 };

int main(int argc, char **argv)
{
    int steps = argc > 1 ? WARM_UP + atoi(argv[1]) / 4 : 140, last = dist_node_count() - 1;
    line_t *plates[2] = { dist_aligned_alloc(PAGE, SIDE * sizeof(line_t)), dist_aligned_alloc(PAGE, SIDE * sizeof(line_t)) };
    dist_barrier_t done;
    static struct samples samples;
    if (steps > STEPS_MAX)
        steps = STEPS_MAX;

    void work(int node)
    {
        static struct samples samples;
        line_t *mine[2] = { plates[0], plates[1] };
        int first = node == 0 ? 1 : SIDE / 2, end = node == 0 ? SIDE / 2 : SIDE - 1;
        burst(node);
        dist_barrier_wait(&done);
        for (int step = 0; step < steps; step++) {
            long start = now_ns();
            relax(mine[step % 2], mine[(step + 1) % 2], first, end);
            dist_barrier_wait(&done);
            if (step >= WARM_UP)
                add_sample(&samples, now_ns() - start);
        }
        if (node == 0)
            report("jacobi_2", &samples);
    }

    /* Alone first: nobody else is on the other processor, either. */
    static line_t own[2][SIDE];
    burst(0);
    for (int plate = 0; plate < 2; plate++) {
        heat(own[plate]);
        heat(plates[plate]);
    }
    for (int step = 0; step < steps; step++) {
        long start = now_ns();
        relax(own[step % 2], own[(step + 1) % 2], 1, SIDE - 1);
        if (step >= WARM_UP)
            add_sample(&samples, now_ns() - start);
    }
    report("jacobi_1", &samples);
    dist_barrier_init(&done, 0, 2);
    dist_thr_create_on(0, work, 0);
    dist_thr_create_on(last, work, 1);
    dist_thr_join_all();
    if (memcmp(own[steps % 2], plates[steps % 2], sizeof own[0])) {
        fprintf(stderr, "two nodes have another result than one thread\n");
        return 1;
    }
}

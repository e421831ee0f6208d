/* dirty.c ROUNDS OBJECTS: node 1 changes every byte of OBJECTS objects of 64 bytes that live on node 0, then meets node 0 at a
 * barrier. benches/peers/runs.rs counts messages and bytes: what OBJECTS cost more than none.
 *
 *     round     the whole round
 *
 * Estimate for 1000: 2 messages, all changes and the answer, and 1.2 bytes for each byte changed. 500 us: 0.1 us to
 * compare, 0.2 us to take and to merge each, and two write faults of its own at first. */
#include "burst.h"

enum { OBJECTS_MAX = 1000, BYTES = 64, WARM_UP = 4 };

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20, count = argc > 2 ? atoi(argv[2]) : OBJECTS_MAX;
    char **objects = dist_malloc(OBJECTS_MAX * sizeof *objects);
    dist_barrier_t both;
    if (count > OBJECTS_MAX)
        return 2;

    void meet(int node)
    {
        static struct samples samples;
        static char *known[OBJECTS_MAX] __attribute__((node_local));
        burst(node);
        memcpy(known, objects, count * sizeof *known);
        dist_barrier_wait(&both);
        for (int round = 0; round < rounds; round++) {
            long start = now_ns();
            for (int i = 0; node && i < count; i++)
                memset(known[i], round + 2, BYTES);
            dist_barrier_wait(&both);
            if (round >= WARM_UP)
                add_sample(&samples, now_ns() - start);
            for (int i = 0; !node && i < count; i++)
                if (load_byte(known[i] + i % BYTES) != (char)(round + 2))
                    exit(1);
            dist_barrier_wait(&both);
        }
        if (node)
            report("round", &samples);
    }

    for (int i = 0; i < count; i++) {
        objects[i] = dist_malloc(BYTES);
        memset(objects[i], 1, BYTES);
    }
    dist_barrier_init(&both, 0, 2);
    dist_thr_create_on(0, meet, 0);
    dist_thr_create_on(dist_node_count() - 1, meet, 1);
    dist_thr_join_all();
}

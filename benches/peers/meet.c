/* meet.c COUNT: barriers and threads of two nodes.
 *
 *     barrier          nothing dirty
 *     barrier_64       node 1 has changed a byte of each of 64 pages, which node 0, their home, then reads
 *     thread           creation on node 1 with join
 *
 * Estimate over TCP: barrier 8 us, a message there and back, and a wake; barrier_64 20 us, 64 comparisons of 0.1 us and one
 * message with 64 runs more; thread 30 us, a round trip, a pthread and a message back. */
#include "burst.h"

enum { BATCH = 20, DIRTY = 64 };

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500, last = dist_node_count() - 1;
    static struct samples samples;
    dist_barrier_t both;
    char *pages = dist_aligned_alloc(PAGE, DIRTY * PAGE);

    void meet(int dirty)
    {
        static struct samples samples;
        int node = dist_thr_node();
        burst(node);
        dist_barrier_wait(&both);
        for (int i = -BATCH; i < count; i++) {
            long start = now_ns();
            for (int page = 0; node && page < dirty; page++)
                store_byte(pages + page * PAGE + (i & 63) * 64, i);
            dist_barrier_wait(&both);
            if (i >= 0)
                add_sample(&samples, now_ns() - start);
            for (int page = 0; !node && page < dirty; page++)
                if (load_byte(pages + page * PAGE + (i & 63) * 64) != (char)i)
                    exit(1);
            if (dirty)
                dist_barrier_wait(&both);
        }
        if (node)
            report(dirty ? "barrier_64" : "barrier", &samples);
    }
    void nothing(int unused) { (void)unused; }

    memset(pages, 1, DIRTY * PAGE);
    dist_barrier_init(&both, 0, 2);
    for (int dirty = 0; dirty <= DIRTY; dirty += DIRTY) {
        dist_thr_create_on(0, meet, dirty);
        dist_thr_create_on(last, meet, dirty);
        dist_thr_join_all();
    }
    burst(0);
    for (int i = 0; i < count; i++) {
        long start = now_ns();
        dist_thr_join(dist_thr_create_on(last, nothing, 0));
        add_sample(&samples, now_ns() - start);
    }
    report("thread", &samples);
}

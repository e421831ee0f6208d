/* sync.c - threads and synchronization between node 0 and the last node: creation with join, barrier,
 * a mutex handed to and fro. One figure each: the time of a long run over its operations.
 *
 * Estimate: one ping-pong and the calls' wakes; derivation, figures and the comparison:
 * benches/distributed.rs. Run by `cargo xtask bench`. */
#include "measure.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500;
    int last = dist_node_count() - 1;
    place(0);

    void settle(int unused) { (void)unused; place(dist_thr_node()); }
    dist_thr_join(dist_thr_create_on(last, settle, 0));

    void nothing(int unused) { (void)unused; }
    static long samples[100000];
    for (int i = 0; i < count; i++) {
        long start = now_ns();
        dist_thr_join(dist_thr_create_on(last, nothing, 0));
        samples[i] = now_ns() - start;
    }
    report("thread", samples, count);

    dist_barrier_t barrier;
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
    dist_barrier_init(&barrier, 0, 2);
    void meet(int unused)
    {
        (void)unused;
        dist_barrier_wait(&barrier);
        long start = now_ns();
        for (int i = 0; i < count; i++)
            dist_barrier_wait(&barrier);
        if (dist_thr_node() == 0)
            report_mean("barrier", now_ns() - start, count);
    }
    dist_thr_create_on(0, meet, 0);
    dist_thr_create_on(last, meet, 0);
    dist_thr_join_all();

    /* Waiting threads are served in order, so two that always want the mutex take turns. */
    void take_turns(int unused)
    {
        (void)unused;
        dist_barrier_wait(&barrier);
        long start = now_ns();
        for (int i = 0; i < count; i++) {
            dist_mutex_lock(&mutex);
            dist_mutex_unlock(&mutex);
        }
        dist_barrier_wait(&barrier);
        if (dist_thr_node() == 0)
            report_mean("mutex", now_ns() - start, 2L * count);
    }
    dist_thr_create_on(0, take_turns, 0);
    dist_thr_create_on(last, take_turns, 0);
    dist_thr_join_all();
}

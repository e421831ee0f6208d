/* locks.c COUNT CACHED: mutexes that live on node 0, and what they guard.
 *
 *     hand_over          two nodes take turns: lock, change the object, unlock; for each change of hands
 *     caused             misses, later, of CACHED unrelated pages of node 0 that node 1 had before the hand-overs
 *     increment          locked increment on the node that owns lock and object
 *     increment_away     the same on the node that owns neither, undisturbed
 *     neighbours         both nodes increment ints of one array, each under a mutex of its own: on node 1, for each
 *     apart              the same with ints in separate objects
 *
 * Estimate over TCP: hand_over 12 us, two messages' way and one wake of a thread; increment 0.1 us, three calls and no
 * message; increment_away 20 us, two round trips; neighbours as that. */
#include "burst.h"
#include <stdint.h>

enum { BATCH = 20, ROUNDS_MAX = 100 };

/* How many of these pages this node's page table doesn't have. */
static long absent(const char *first, long count)
{
    static uint64_t entries[1 << 16] __attribute__((node_local));
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    long missing = 0;
    if (file < 0 || pread(file, entries, count * 8, (uintptr_t)first / PAGE * 8) != count * 8)
        exit(3);
    close(file);
    for (long i = 0; i < count; i++)
        missing += !(entries[i] >> 63);
    return missing;
}

static void read_all(const char *first, long count)
{
    for (long i = 0; i < count; i++)
        load_byte(first + i * PAGE);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500, last = dist_node_count() - 1;
    long cached = argc > 2 ? atol(argv[2]) : 0;
    char *pages = dist_aligned_alloc(PAGE, (cached + 1) * PAGE);
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER, own[2] = { DIST_MUTEX_INITIALIZER, DIST_MUTEX_INITIALIZER };
    dist_barrier_t both;
    struct { long value, changes; int node, is_over; } guarded = { 0, 0, 0, 0 };
    int pair[2] = { 0, 0 }, left = 0, right = 0;

    void turns(int unused)
    {
        (void)unused;
        static struct samples samples;
        int node = dist_thr_node();
        burst(node);
        if (node) {
            read_all(pages, cached);
            read_all(pages, cached);
        }
        long before = node && cached ? absent(pages, cached) : 0;
        dist_barrier_wait(&both);
        int own_turns = 0, is_over = 0;
        long start = now_ns(), changes = 0;
        while (!is_over) {
            dist_mutex_lock(&mutex);
            guarded.value++;
            guarded.changes += guarded.node != node;
            guarded.node = node;
            own_turns += node;
            if (own_turns % BATCH == 1) {
                if (own_turns > BATCH)
                    add_sample(&samples, (double)(now_ns() - start) / (guarded.changes - changes));
                start = now_ns(), changes = guarded.changes;
            }
            is_over = guarded.is_over |= own_turns > count;
            dist_mutex_unlock(&mutex);
        }
        dist_barrier_wait(&both);
        if (node)
            report("hand_over", &samples);
        if (node && cached)
            report_value("caused", absent(pages, cached) - before);
    }

    void alone(int slot)
    {
        static struct samples samples;
        int node = dist_thr_node();
        burst(node);
        for (int round = -1; round < ROUNDS_MAX && round * BATCH < count; round++) {
            long start = now_ns();
            for (int i = 0; i < BATCH; i++) {
                dist_mutex_lock(&own[slot]);
                left++;
                dist_mutex_unlock(&own[slot]);
            }
            if (round >= 0)
                add_sample(&samples, (now_ns() - start) / (double)BATCH);
        }
        report(node ? "increment_away" : "increment", &samples);
    }

    /* Both at the same time; `apart`: 0 or 1. */
    void beside(int apart)
    {
        static struct samples samples;
        int node = dist_thr_node();
        int *mine = !apart ? &pair[node] : node ? &right : &left;
        burst(node);
        dist_barrier_wait(&both);
        for (int round = -1; round < ROUNDS_MAX && round * BATCH < count; round++) {
            long start = now_ns();
            for (int i = 0; i < BATCH; i++) {
                dist_mutex_lock(&own[node]);
                ++*mine;
                dist_mutex_unlock(&own[node]);
            }
            if (round >= 0)
                add_sample(&samples, (now_ns() - start) / (double)BATCH);
        }
        dist_barrier_wait(&both);
        if (node)
            report(apart ? "apart" : "neighbours", &samples);
    }

    void on_both(void (*thread)(int), int argument)
    {
        dist_thr_create_on(0, thread, argument);
        dist_thr_create_on(last, thread, argument);
        dist_thr_join_all();
    }

    memset(pages, 1, (cached + 1) * PAGE);
    dist_barrier_init(&both, 0, 2);
    on_both(turns, 0);
    if (cached)
        return 0;
    dist_thr_join(dist_thr_create_on(0, alone, 0));
    dist_thr_join(dist_thr_create_on(last, alone, 1));
    on_both(beside, 0);
    on_both(beside, 1);
}

/* objects.c - what one page fault costs, object by object: read miss, write upgrade, hand-over of ownership.
 *
 * Node 0 is home to sequential 64-byte objects (a local of each level of a recursion) and to 4096-byte objects (the
 * pages of an array). Node 1 reads each, then writes each; then node 0 takes each back. Every access is
 * timed by itself and touches an object that no hold protects any more.
 *
 * Estimate: 52 us for each on processors of their own (one ping-pong and two local wakes);
 * derivation, figures and the comparison: benches/distributed.rs. Run by `cargo xtask bench`. */
#include "measure.h"

enum { OBJECTS_MAX = 2000 };
/* From one object to the next: neighbours in turn would be fetched ahead. No divisor of the counts. */
enum { STRIDE = 1009 };

static void measure(char *const *objects, int count, int bytes)
{
    char *known[OBJECTS_MAX];
    memcpy(known, objects, count * sizeof *known);
    int node = dist_node_count() - 1;
    void remote(int unused)
    {
        (void)unused;
        place(dist_thr_node());
        static long samples[OBJECTS_MAX];
        static char *local[OBJECTS_MAX] __attribute__((node_local));
        char name[64];
        for (int i = 0; i < count; i++)
            local[i] = known[i * STRIDE % count];
        for (int i = 0; i < count; i++) {
            long start = now_ns();
            load_byte(local[i]);
            samples[i] = now_ns() - start;
        }
        snprintf(name, sizeof name, "read_miss_%d", bytes);
        report(name, samples, count);
        for (int i = 0; i < count; i++) {
            long start = now_ns();
            store_byte(local[i], 1);
            samples[i] = now_ns() - start;
        }
        snprintf(name, sizeof name, "write_upgrade_%d", bytes);
        report(name, samples, count);
    }
    dist_thr_join(dist_thr_create_on(node, remote, 0));

    static long samples[OBJECTS_MAX];
    char name[64];
    for (int i = 0; i < count; i++) {
        long start = now_ns();
        store_byte(objects[i], 2);
        samples[i] = now_ns() - start;
    }
    snprintf(name, sizeof name, "hand_over_%d", bytes);
    report(name, samples, count);
}

/* Each level adds an object of 64 bytes. */
static void descend(char **objects, int level, int count)
{
    __attribute__((shadow("sequential"))) char object[64];
    void reach(int unused) { object[unused] = 1; }
    memset(object, level, sizeof object);
    objects[level] = object;
    if (level + 1 < count)
        descend(objects, level + 1, count);
    else
        measure(objects, count, 64);
    if (count < 0)
        dist_thr_create(reach, 0);
}

static void pages(char **objects, int count)
{
    __attribute__((shadow("sequential"))) char array[count + 1][4096];
    void reach(int unused) { array[unused][0] = 1; }
    memset(array, 1, sizeof array);
    for (int i = 0; i < count; i++)
        objects[i] = array[i];
    measure(objects, count, 4096);
    if (count < 0)
        dist_thr_create(reach, 0);
}

int main(int argc, char **argv)
{
    static char *objects[OBJECTS_MAX];
    int count = argc > 1 ? atoi(argv[1]) : 500;
    place(0);
    descend(objects, 0, count);
    pages(objects, count);
}

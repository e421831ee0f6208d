/* faults.c COUNT: what one page fault costs, object by object, each touched when no hold protects it any more.
 *
 * Node 0 is home to objects of 64 bytes and of 4096 bytes. Node 1 reads each (read_miss), writes each (upgrade), then
 * node 0 takes each back (move). Of the sequential ones; and `weak_miss` for plain ones, which most objects are.
 *
 * Estimate over TCP: 13 us for each: the floor's 10 us and the service threads' 1.5 us at each end. */
#include "burst.h"

enum { OBJECTS_MAX = 1000 };
/* From one object to the next: neighbours in turn would be fetched ahead. No divisor of the counts. */
enum { STRIDE = 409 };

static void touch_all(char *const *objects, int count, int writes, const char *kind, int bytes)
{
    static struct samples samples;
    char name[64];
    for (int i = 0; i < count; i++) {
        char *object = objects[i];
        long start = now_ns();
        if (writes)
            store_byte(object, 1);
        else
            load_byte(object);
        add_sample(&samples, now_ns() - start);
    }
    snprintf(name, sizeof name, "%s_%d", kind, bytes);
    report(name, &samples);
}

static void measure(char *const *objects, int count, int bytes, int sequential)
{
    char *shuffled[OBJECTS_MAX];
    for (int i = 0; i < count; i++)
        shuffled[i] = objects[(long)i * STRIDE % count];
    void remote(int unused)
    {
        (void)unused;
        static char *local[OBJECTS_MAX] __attribute__((node_local));
        burst(dist_thr_node());
        memcpy(local, shuffled, count * sizeof *local);
        touch_all(local, count, 0, sequential ? "read_miss" : "weak_miss", bytes);
        if (sequential)
            touch_all(local, count, 1, "upgrade", bytes);
    }
    dist_thr_join(dist_thr_create_on(dist_node_count() - 1, remote, 0));
    if (sequential)
        touch_all(objects, count, 1, "move", bytes);
}

int main(int argc, char **argv)
{
    static char *objects[OBJECTS_MAX];
    int count = argc > 1 ? atoi(argv[1]) : 500;
    burst(0);
    for (int sequential = 1; sequential >= 0; sequential--)
        for (int bytes = 64; bytes <= PAGE; bytes *= PAGE / 64) {
            for (int i = 0; i < count; i++) {
                objects[i] = dist_malloc_policy(bytes, sequential ? "sequential" : "weak");
                memset(objects[i], 1, bytes);
            }
            measure(objects, count, bytes, sequential);
        }
}

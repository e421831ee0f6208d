/* bulk.c: one node reads what another has written, from its beginning to its end.
 *
 *     stream_page         4096 bytes of an array of 16 MiB, of which this node has never had anything
 *     stream_page_warm    the same after the other node has changed all of it: there is memory for it here already, as
 *                         there is for what an MPI program receives
 *
 * Estimate over TCP: 1.5 us a page, two copies in and out of the socket at 0.5 us each, and 0.5 us of rights. */
#include "burst.h"

enum { PAGES = 4096, ARRAYS = 6 };

int main(void)
{
    char *arrays[ARRAYS];
    for (int array = 0; array < ARRAYS; array++)
        arrays[array] = dist_aligned_alloc(PAGE, (long)PAGES * PAGE);
    void read(int value)
    {
        static struct samples samples;
        burst(dist_thr_node());
        for (int array = 0; array < ARRAYS; array++) {
            const unsigned long *words = (const unsigned long *)arrays[array];
            unsigned long sum = 0;
            long start = now_ns();
            /* Every line of the caches. */
            for (long line = 0; line < (long)PAGES * PAGE / 64; line++)
                sum += words[line * 8];
            /* The first one starts up. */
            if (array > 0)
                add_sample(&samples, (double)(now_ns() - start) / PAGES);
            if (sum != value * 0x0101010101010101UL * ((long)PAGES * PAGE / 64))
                exit(1);
        }
        report(value == 1 ? "stream_page" : "stream_page_warm", &samples);
    }
    for (int value = 1; value <= 2; value++) {
        for (int array = 0; array < ARRAYS; array++)
            memset(arrays[array], value, (long)PAGES * PAGE);
        dist_thr_join(dist_thr_create_on(dist_node_count() - 1, read, value));
    }
}

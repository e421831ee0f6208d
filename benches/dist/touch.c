/* touch.c - first touch of objects at their home, in a job of several nodes: the object is at hand, so no
 * message leaves. Beside it the first touch of plain anonymous memory, which costs a fault in the kernel.
 *
 * Estimate: benches/distributed.rs has the derivation and the last figures. Run by `cargo xtask bench`. */
#include "measure.h"
#include <sys/mman.h>

/* The runtime maps so many pages, or neighbouring small objects, at one fault (uffd-dsm). */
enum { PAGES_PER_FAULT = 64, SLOTS_PER_FAULT = 16 };
enum { PAGE = 4096, PAGES = 4096, LEVELS = 4096, SLOTS_PER_GROUP = 1024 };

/* The first access of each run of pages, and the whole. `memory`: begins with such a run. */
static void touch(char *memory, const char *name)
{
    static long faults[PAGES / PAGES_PER_FAULT], runs[PAGES / PAGES_PER_FAULT];
    char line[64];
    long all = now_ns();
    for (int run = 0; run < PAGES / PAGES_PER_FAULT; run++) {
        char *first = memory + run * PAGES_PER_FAULT * PAGE;
        long start = now_ns();
        store_byte(first, 1);
        faults[run] = now_ns() - start;
        for (int page = 1; page < PAGES_PER_FAULT; page++)
            store_byte(first + page * PAGE, 1);
        runs[run] = now_ns() - start;
    }
    snprintf(line, sizeof line, "%s_page", name);
    report_mean(line, now_ns() - all, PAGES);
    snprintf(line, sizeof line, "%s_fault", name);
    report(line, faults, PAGES / PAGES_PER_FAULT);
    snprintf(line, sizeof line, "%s_run", name);
    report(line, runs, PAGES / PAGES_PER_FAULT);
}

static long samples[LEVELS];
static int sample_count;

/* The first access to each run of small objects. Those count whose memory is there (64 objects share a page)
 * and whose view was used before (its page tables are there). */
static void descend(int level)
{
    char object[64];
    void reach(int index) { object[index] = 1; }
    long start = now_ns();
    store_byte(object, 1);
    long elapsed = now_ns() - start;
    if (level % SLOTS_PER_FAULT == 0 && level % SLOTS_PER_GROUP && level > SLOTS_PER_GROUP)
        samples[sample_count++] = elapsed;
    if (level + 1 < LEVELS)
        descend(level + 1);
    if (level < 0)
        dist_thr_create(reach, 0);
}

int main(void)
{
    place(0);
    descend(0);
    report("small_fault", samples, sample_count);

    /* Room to begin at a run, behind what other objects of this function may touch. */
    char array[PAGES + 2 * PAGES_PER_FAULT][PAGE];
    void reach(int unused) { array[unused][0] = 1; }
    unsigned long run = PAGES_PER_FAULT * PAGE;
    touch((char *)(((unsigned long)array + run) / run * run), "touch");
    if (sample_count < 0)
        dist_thr_create(reach, 0);

    char *plain = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(plain, PAGES * PAGE, MADV_NOHUGEPAGE);
    touch(plain, "plain");
}

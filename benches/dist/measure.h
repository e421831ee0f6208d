/* measure.h - clocks, placement and lines of results for the programs of this folder.
 *
 * A line is `RESULT name min_ns median_ns count`; benches/programs.rs reads it. */
#include "../access.h"
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keeps every thread of this process on the processor of its node: nodes stand for machines, and on one
 * processor the scheduler would turn each wake into a cheap switch. With UMBEL_BENCH_FREE the scheduler decides. */
static inline void place(int node)
{
    if (getenv("UMBEL_BENCH_FREE"))
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(node % sysconf(_SC_NPROCESSORS_ONLN), &set);
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));)
        if (atoi(task->d_name))
            sched_setaffinity(atoi(task->d_name), sizeof set, &set);
    closedir(tasks);
}

static int ascending(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;
    return (a > b) - (a < b);
}

/* `samples`: private memory; sorted by this. */
static inline void report(const char *name, long *samples, int count)
{
    qsort(samples, count, sizeof *samples, ascending);
    printf("RESULT %s %ld %ld %d\n", name, samples[0], samples[count / 2], count);
}

/* One figure for many operations at once. */
static inline void report_mean(const char *name, long elapsed_ns, long count)
{
    printf("RESULT %s %ld %ld %ld\n", name, elapsed_ns / count, elapsed_ns / count, count);
}

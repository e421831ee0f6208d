/* burst.h - for the programs of this folder: a processor of its own and real-time priority for each node's or
 * rank's threads, batches of samples, lines of results.
 *
 * Whoever else uses the machine would decide the figures: a thread that waits for its turn behind another loses
 * milliseconds, and what is measured takes microseconds. So everything runs in bursts of some hundred milliseconds
 * at the lowest real-time priority, umbel's service threads one above it. Where that isn't allowed, it runs as it is. */
#include "../access.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, BATCHES_MAX = 4096 };

/* The calling thread, and the service thread of its process, belong to `node` from now on. */
static inline void burst(int node)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(node % sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof set, &set);
    sched_setscheduler(0, SCHED_RR, &(struct sched_param){ .sched_priority = 1 });
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        int file = atoi(task->d_name) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (file >= 0 && read(file, name, sizeof name - 1) > 0 && strncmp(name, "umbel-service", 13) == 0) {
            sched_setaffinity(atoi(task->d_name), sizeof set, &set);
            sched_setscheduler(atoi(task->d_name), SCHED_FIFO | SCHED_RESET_ON_FORK,
                               &(struct sched_param){ .sched_priority = 2 });
        }
        if (file >= 0)
            close(file);
    }
    if (tasks)
        closedir(tasks);
}

static inline int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Samples of one kind; private memory. */
struct samples { int count; double ns[BATCHES_MAX]; };

static inline void add_sample(struct samples *samples, double ns)
{
    if (samples->count < BATCHES_MAX)
        samples->ns[samples->count++] = ns;
}

/* `RESULT name min median count`: benches/programs.rs reads it. */
static inline void report(const char *name, struct samples *samples)
{
    if (samples->count == 0)
        return;
    qsort(samples->ns, samples->count, sizeof *samples->ns, ascending);
    printf("RESULT %s %.3f %.3f %d\n", name, samples->ns[0], samples->ns[samples->count / 2], samples->count);
    fflush(stdout);
    samples->count = 0;
}

/* One figure for many operations at once. */
static inline void report_mean(const char *name, long elapsed_ns, long count)
{
    printf("RESULT %s %ld %ld %ld\n", name, elapsed_ns / count, elapsed_ns / count, count);
    fflush(stdout);
}

static inline void report_value(const char *name, double value)
{
    printf("RESULT %s %.3f %.3f 1\n", name, value, value);
    fflush(stdout);
}

/* loops.c - local access to sharable objects: every loop works on locals of an enclosing function that a
 * thread reaches. The thread runs on the last node, so in a job it works on copies that it has fetched.
 *
 * `RESULT name min_ns median_ns count`, per element; a sample is short (tens of microseconds), so that
 * among many of them some are undisturbed, and the least one tells what the code costs.
 * Estimates, comparison and the last figures: benches/local.rs. Run by `cargo xtask bench`. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 4096, SIDE = 64, CHAIN = 1000, SAMPLES_MAX = 2000 };

static int sample_count;

static long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int ascending(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;
    return (a > b) - (a < b);
}

static void report(const char *name, long *samples, double elements)
{
    qsort(samples, sample_count, sizeof *samples, ascending);
    printf("RESULT %s %.4f %.4f %d\n", name, samples[0] / elements, samples[sample_count / 2] / elements, sample_count);
}

/* Times `calls` runs of `call`, which handles `per_call` elements; `k` numbers the runs. */
#define MEASURE(name, calls, per_call, call)                       \
    do {                                                           \
        static long samples[SAMPLES_MAX];                          \
        for (int sample = 0; sample < sample_count; sample++) {    \
            long start = now_ns();                                 \
            for (long k = 0; k < (calls); k++)                     \
                call;                                              \
            samples[sample] = now_ns() - start;                    \
        }                                                          \
        report(name, samples, (double)(calls) * (per_call));       \
    } while (0)

#define LOOP __attribute__((noinline)) void

static __attribute__((noipa)) void arrays(int node)
{
    int a[N], sum = 0;
    double x[N], y[N];
    char c[N];
    int left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

    LOOP array_store(long k) { for (int i = 0; i < N; i++) a[i] = i + k; }
    LOOP reduction(void) { for (int i = 0; i < N; i++) sum += a[i]; }
    LOOP stencil(void) { for (int i = 1; i < N - 1; i++) y[i] = (x[i - 1] + x[i] + x[i + 1]) * 0.33; }
    LOOP char_array(void) { for (int i = 0; i < N; i++) c[i] = i; }
    LOOP random_increments(long k)
    {
        unsigned r = k;
        for (int i = 0; i < N; i++) {
            r = r * 1103515245 + 12345;
            a[(r >> 16) & (N - 1)]++;
        }
    }
    LOOP matrix_product(void)
    {
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                int s = 0;
                for (int l = 0; l < SIDE; l++)
                    s += left[i][l] * right[l][j];
                product[i][j] = s;
            }
    }
    void run(int unused)
    {
        (void)unused;
        MEASURE("array_store", 80, N, array_store(k));
        MEASURE("reduction", 80, N, reduction());
        MEASURE("stencil", 30, N - 2, stencil());
        MEASURE("char_array", 200, N, char_array());
        MEASURE("random_increments", 8, N, random_increments(k));
        MEASURE("matrix_product", 1, SIDE * SIDE * SIDE, matrix_product());
    }

    for (int i = 0; i < N; i++)
        a[i] = x[i] = y[i] = c[i] = 1;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            left[i][j] = right[i][j] = product[i][j] = i + j;
    dist_thr_join(dist_thr_create_on(node, run, 0));
}

struct link {
    struct link *next;
    char rest[56];
};

static struct link *volatile chase_end;

/* A list through the elements of one array, in random order. */
static __attribute__((noipa)) void chase_in_array(int node)
{
    struct link elements[CHAIN];
    __attribute__((noinline)) struct link *follow(int steps)
    {
        struct link *link = elements;
        while (steps-- > 0)
            link = link->next;
        return link;
    }
    void run(int unused)
    {
        (void)unused;
        MEASURE("chase_in_array", 5, CHAIN, chase_end = follow(CHAIN));
    }
    /* One cycle through all: STEP and CHAIN have no common divisor. */
    enum { STEP = 387 };
    for (int i = 0; i < CHAIN; i++)
        elements[i * STEP % CHAIN].next = &elements[(i + 1) * STEP % CHAIN];
    dist_thr_join(dist_thr_create_on(node, run, 0));
}

/* A list through the locals of CHAIN levels of recursion, in random order: objects of 64 bytes. */
static __attribute__((noipa)) void chase(int node, struct link **links, int level)
{
    struct link object;
    __attribute__((noinline)) struct link *follow(struct link *link, int steps)
    {
        while (steps-- > 0)
            link = link->next;
        return link;
    }
    void run(int unused)
    {
        (void)unused;
        MEASURE("pointer_chase", 5, CHAIN, chase_end = follow(&object, CHAIN));
    }
    object.next = 0;
    links[level] = &object;
    if (level + 1 < CHAIN) {
        chase(node, links, level + 1);
    } else {
        unsigned r = 1;
        for (int i = CHAIN - 1; i > 0; i--) {
            r = r * 1103515245 + 12345;
            int j = (r >> 16) % (i + 1);
            struct link *swap = links[i];
            links[i] = links[j];
            links[j] = swap;
        }
        for (int i = 0; i < CHAIN; i++)
            links[i]->next = links[(i + 1) % CHAIN];
        dist_thr_join(dist_thr_create_on(node, run, 0));
    }
}

static __attribute__((noipa)) long one_object(long k)
{
    int object = k;
    void add(int n) { object += n; }
    if (k < 0)
        dist_thr_join(dist_thr_create_on(0, add, 1));
    return object;
}

static volatile long call_end;

static __attribute__((noipa)) void calls(int node)
{
    int captured = 0;
    void run(int unused)
    {
        (void)unused;
        captured++;
        MEASURE("call", 10000, 1, call_end = one_object(k));
    }
    dist_thr_join(dist_thr_create_on(node, run, 0));
}

int main(int argc, char **argv)
{
    static struct link *links[CHAIN];
    int samples = argc > 1 ? atoi(argv[1]) : 100;
    int node = dist_node_count() - 1;
    sample_count = samples;
    /* Each node has its own copy of a static variable. */
    void set(int unused) { (void)unused; sample_count = samples; }
    dist_thr_join(dist_thr_create_on(node, set, 0));
    arrays(node);
    chase_in_array(node);
    chase(node, links, 0);
    calls(node);
}

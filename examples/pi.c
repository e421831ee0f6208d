/* Pi by numerical integration: a reduction.
 *
 *     umbel cc -O2 pi.c -o pi
 *     umbel run -n 4 ./pi
 *
 * Pi is the integral of 4 / (1 + x * x) from 0 to 1.  Each thread adds up every THREADS-th slice in a
 * variable of its own, which nobody shares and which therefore is as fast as in any C program, and then
 * adds this to the shared total: once, under a mutex.
 *
 * Expect pi to ten places.  (The order of the additions varies, so the very last digits would, too.)
 */
#include <math.h>
#include <stdio.h>

enum { THREADS = 8, SLICES = 4000000 };

/* The area of every step-th slice from the first one on. */
static double area(int first, int step)
{
    double sum = 0;
    for (int slice = first; slice < SLICES; slice += step) {
        double x = (slice + 0.5) / SLICES;
        sum += 4 / (1 + x * x) / SLICES;
    }
    return sum;
}

int main(void)
{
    double total = 0;
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;

    void integrate(int thread) {
        double own = area(thread, THREADS);
        dist_mutex_lock(&mutex);
        total += own;
        dist_mutex_unlock(&mutex);
    }

    for (int thread = 0; thread < THREADS; thread++)
        dist_thr_create(integrate, thread);
    dist_thr_join_all();

    int same = fabs(total - area(0, 1)) < 1e-11;
    printf("pi = %.10f\n", total);
    printf("same as one thread: %s\n", same ? "yes" : "NO");
    return !same;
}

/* Parallel quicksort: threads create threads, each seeing the frames of all functions around it.
 *
 *     umbel cc -O2 quicksort.c -o quicksort
 *     umbel run -n 4 ./quicksort
 *
 * Three functions, one inside the other:
 *
 *     main            has `values`, shared by all
 *       sort          has `first`, `middle`, `last`: one set for each call
 *         sort_left   a thread: uses those of the call that created it
 *         sort_right  a thread
 *
 * `sort` splits its range and has the halves sorted by two threads, which call `sort` again, and so on
 * until a range is small.  When `sort` returns, its range is sorted: a function does not return before
 * the threads that use its variables have ended, so there is nothing to join.
 *
 * Expect the smallest, the median and the largest value, and "same as qsort: yes".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 100000, SMALL = 10000 };

static int ascending(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

static void swap(int *a, int *b)
{
    int old = *a;
    *a = *b;
    *b = old;
}

/* Puts the smaller values before the larger ones; the place between them, where the pivot now is. */
static int partition(int *values, int first, int last)
{
    swap(&values[(first + last) / 2], &values[last - 1]);
    int pivot = values[last - 1], place = first;
    for (int i = first; i < last - 1; i++)
        if (values[i] < pivot)
            swap(&values[i], &values[place++]);
    swap(&values[place], &values[last - 1]);
    return place;
}

int main(void)
{
    int values[COUNT], expected[COUNT];

    void sort(int first, int last) {                /* sorts values[first] to values[last - 1] */
        if (last - first <= SMALL) {
            qsort(values + first, last - first, sizeof values[0], ascending);
            return;
        }
        int middle = partition(values, first, last);
        void sort_left(int unused) { sort(first, middle); }
        void sort_right(int unused) { sort(middle + 1, last); }
        dist_thr_create(sort_left, 0);
        dist_thr_create(sort_right, 0);
    }                                               /* waits for both */

    unsigned random = 1;
    for (int i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        values[i] = expected[i] = random >> 12;
    }

    sort(0, COUNT);

    qsort(expected, COUNT, sizeof expected[0], ascending);
    int same = !memcmp(values, expected, sizeof values);
    printf("smallest %d, median %d, largest %d\n", values[0], values[COUNT / 2], values[COUNT - 1]);
    printf("same as qsort: %s\n", same ? "yes" : "NO");
    return !same;
}

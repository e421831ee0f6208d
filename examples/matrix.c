/* Matrix multiplication: each thread computes some rows of the product.
 *
 *     umbel cc -O2 matrix.c -o matrix
 *     umbel run -n 4 ./matrix
 *
 * The three matrices are locals of main that the nested function `multiply` uses, so all threads see
 * them.  A large array travels in pages of 4 KiB, each when a thread first touches it.  `left` and
 * `right` are only read here, so every node keeps its copies; the rows of `product` that one thread
 * writes fill whole pages, so no two threads ever want to write the same one.
 *
 * Expect the trace of the product, and "same as one thread: yes".
 */
#include <stdio.h>

enum { SIZE = 256, THREADS = 8, ROWS_PER_THREAD = SIZE / THREADS };

/* One element of the product. */
static double dot(const double *row, double (*right)[SIZE], int column)
{
    double sum = 0;
    for (int k = 0; k < SIZE; k++)
        sum += row[k] * right[k][column];
    return sum;
}

int main(void)
{
    double left[SIZE][SIZE], right[SIZE][SIZE], product[SIZE][SIZE];

    void multiply(int thread) {
        int first = thread * ROWS_PER_THREAD;
        for (int row = first; row < first + ROWS_PER_THREAD; row++)
            for (int column = 0; column < SIZE; column++)
                product[row][column] = dot(left[row], right, column);
    }

    for (int row = 0; row < SIZE; row++)
        for (int column = 0; column < SIZE; column++) {
            left[row][column] = (row + 2 * column) % 10;
            right[row][column] = (3 * row + column) % 10;
        }

    for (int thread = 0; thread < THREADS; thread++)
        dist_thr_create(multiply, thread);
    dist_thr_join_all();

    double trace = 0;
    int same = 1;
    for (int row = 0; row < SIZE; row++) {
        trace += product[row][row];
        for (int column = 0; column < SIZE; column++)
            same &= product[row][column] == dot(left[row], right, column);
    }
    printf("trace of the product: %.0f\n", trace);
    printf("same as one thread: %s\n", same ? "yes" : "NO");
    return !same;
}

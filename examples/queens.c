/* Queens: in how many ways can 11 queens stand on a board so that none attacks another?
 *
 *     umbel cc -O2 queens.c -o queens
 *     umbel run -n 4 ./queens
 *
 * main places queens in the first two rows in all ways and puts each beginning into a queue.  Workers on
 * all nodes take one after the other and count its solutions; who is faster takes more.  The queue is
 * the usual one for POSIX threads: a mutex guards it, and a condition variable tells the workers that
 * something has changed.
 *
 * Expect 2680 solutions, from 90 tasks.
 */
#include <stdio.h>

enum { SIZE = 11, WORKERS = 8, TASKS_MAX = SIZE * SIZE, ALL_COLUMNS = (1 << SIZE) - 1 };

/* Rows filled so far, and the columns of the next row that are attacked: one bit for each. */
struct board { int rows; unsigned vertical, rising, falling; };

static struct board with_queen(struct board board, unsigned column)
{
    return (struct board) {
        .rows = board.rows + 1,
        .vertical = board.vertical | column,
        .rising = (board.rising | column) << 1,
        .falling = (board.falling | column) >> 1,
    };
}

/* Calls visit for each way to fill the board up to so many rows. */
static void fill(struct board board, int rows, void visit(struct board))
{
    if (board.rows == rows) {
        visit(board);
        return;
    }
    unsigned open = ALL_COLUMNS & ~(board.vertical | board.rising | board.falling);
    for (; open; open &= open - 1)
        fill(with_queen(board, open & -open), rows, visit);
}

static int solutions(struct board begin)
{
    int count = 0;
    void visit(struct board board) { count++; }
    fill(begin, SIZE, visit);
    return count;
}

int main(void)
{
    struct board queue[TASKS_MAX];
    int added = 0, taken = 0, complete = 0, total = 0;
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
    dist_cond_t changed = DIST_COND_INITIALIZER;

    int take(struct board *task) {              /* 0 when there is no task and won't be one */
        dist_mutex_lock(&mutex);
        while (taken == added && !complete)
            dist_cond_wait(&changed, &mutex);
        int found = taken < added;
        if (found)
            *task = queue[taken++];
        dist_mutex_unlock(&mutex);
        return found;
    }

    void work(int unused) {
        struct board task;
        int own = 0;
        while (take(&task))
            own += solutions(task);
        dist_mutex_lock(&mutex);
        total += own;
        dist_mutex_unlock(&mutex);
    }

    void add(struct board task) {
        dist_mutex_lock(&mutex);
        queue[added++] = task;
        dist_cond_signal(&changed);
        dist_mutex_unlock(&mutex);
    }

    for (int worker = 0; worker < WORKERS; worker++)
        dist_thr_create(work, 0);

    struct board empty = { 0 };
    fill(empty, 2, add);
    dist_mutex_lock(&mutex);
    complete = 1;
    dist_cond_broadcast(&changed);
    dist_mutex_unlock(&mutex);
    dist_thr_join_all();

    printf("%d queens: %d solutions, from %d tasks\n", SIZE, total, added);
    return total != solutions(empty);
}

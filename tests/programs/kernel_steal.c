/* kernel_steal [THREADS [QUEENS [SPLIT]]]: the queens problem with work stealing.
 *
 * Pattern: task queues that mostly their owners touch. Algorithm: depth-first search with bit masks; each worker takes
 * the newest task of its own queue, and the oldest of another's when it has none: R. Blumofe, C. Leiserson, Scheduling
 * multithreaded computations by work stealing, FOCS 1994; with a lock for each queue.
 *
 * All begins with one task, in thread 0's queue. A task that has placed fewer than SPLIT queens becomes several. The
 * end: an _Atomic count of the tasks that are not done.
 *
 * Checked: the serial number of solutions, and each task done once. */
#include "kernel.h"

enum { TASKS = 512 };

/* Queens placed, and the columns of the next row that are attacked: one bit for each. */
struct board {
	int placed;
	unsigned vertical, rising, falling;
};

static struct board with_queen(struct board board, unsigned column)
{
	return (struct board) { board.placed + 1, board.vertical | column, (board.rising | column) << 1, (board.falling | column) >> 1 };
}

static unsigned free_columns(struct board board, int queens)
{
	return ((1u << queens) - 1) & ~(board.vertical | board.rising | board.falling);
}

/* Ways to complete a board. */
static long solutions(struct board board, int queens)
{
	long sum = board.placed == queens;
	if (!sum)
		for (unsigned open = free_columns(board, queens); open; open &= open - 1)
			sum += solutions(with_queen(board, open & -open), queens);
	return sum;
}

/* Boards with at most `split` queens on the way there. */
static long tasks_of(struct board board, int queens, int split)
{
	long sum = 1;
	if (board.placed < split)
		for (unsigned open = free_columns(board, queens); open; open &= open - 1)
			sum += tasks_of(with_queen(board, open & -open), queens, split);
	return sum;
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int queens = argument(argc, argv, 2, 9);
	int split = argument(argc, argv, 3, 2);
	struct queue {
		dist_mutex_t lock;
		int oldest, count;
		struct board boards[TASKS];
	} queues[threads];
	_Atomic long open = 0;
	long sums[threads], taken[threads];

	void add(int thread, struct board board)
	{
		struct queue *queue = &queues[thread];
		dist_mutex_lock(&queue->lock);
		CHECK(queue->count < TASKS);
		queue->boards[(queue->oldest + queue->count++) % TASKS] = board;
		dist_mutex_unlock(&queue->lock);
	}

	int take(int victim, int thief, struct board *board)
	{
		struct queue *queue = &queues[victim];
		dist_mutex_lock(&queue->lock);
		int found = queue->count > 0;
		if (found && victim == thief)
			*board = queue->boards[(queue->oldest + queue->count - 1) % TASKS];
		else if (found)
			*board = queue->boards[queue->oldest++ % TASKS];
		queue->count -= found;
		dist_mutex_unlock(&queue->lock);
		return found;
	}

	void work(int thread)
	{
		struct board board;
		unsigned long random = 8 + thread;
		for (int looks = 0; open > 0; looks++) {
			if (!take(thread, thread, &board) && !take(random_bits(&random) % threads, thread, &board)) {
				wait_a_little(looks);
				continue;
			}
			looks = 0;
			taken[thread]++;
			if (board.placed < split) {
				for (unsigned columns = free_columns(board, queens); columns; columns &= columns - 1) {
					open++;
					add(thread, with_queen(board, columns & -columns));
				}
			} else {
				sums[thread] += solutions(board, queens);
			}
			open--;
		}
	}

	CHECK(threads >= 1 && queens >= 1 && queens < 32);
	memset(queues, 0, sizeof queues);
	memset(sums, 0, sizeof sums);
	memset(taken, 0, sizeof taken);
	struct board empty = { 0, 0, 0, 0 };
	open = 1;
	add(0, empty);
	run_threads(threads, work);

	long sum = 0, tasks = 0;
	for (int thread = 0; thread < threads; thread++) {
		sum += sums[thread];
		tasks += taken[thread];
	}
	CHECK_EQ(sum, solutions(empty, queens));
	CHECK_EQ(tasks, tasks_of(empty, queens, split));
	return verified("steal", threads);
}

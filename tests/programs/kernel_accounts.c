/* kernel_accounts [THREADS [ACCOUNTS [TRANSFERS]]]: a bank whose orders wait in one queue.
 *
 * Pattern: migratory data under locks: a queue that every thread takes from and adds to, and accounts that lie beside
 * their locks in one array. Algorithm: two locks taken in the order of their numbers (E. W. Dijkstra's ordered
 * resources, EWD 310); a queue with a mutex and a condition variable, its end when all orders are done.
 *
 * Large orders are cut in two by the thread that takes them and put back, so the queue grows while it is worked off.
 *
 * Checked: every balance and every number of bookings is that of the serial program. */
#include "kernel.h"

enum { QUEUE = 4096, LARGE = 50 };

struct order {
	int from, to, amount;
};

static struct order random_order(unsigned long *random, int accounts)
{
	int from = random_bits(random) % accounts;
	int to = (from + 1 + random_bits(random) % (accounts - 1)) % accounts;
	return (struct order) { from, to, 1 + random_bits(random) % 200 };
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int accounts = argument(argc, argv, 2, 12);
	int transfers = argument(argc, argv, 3, 150);
	struct account {
		dist_mutex_t lock;
		long balance;
		int bookings;
	} bank[accounts];
	struct order queue[QUEUE];
	int head = 0, tail = 0, open = 0;       /* count up for ever; orders that are not done */
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	dist_cond_t changed = DIST_COND_INITIALIZER;

	void add(struct order order)            /* with the mutex held */
	{
		CHECK(tail - head < QUEUE);
		queue[tail++ % QUEUE] = order;
		open++;
		dist_cond_signal(&changed);
	}

	int take(struct order *order)           /* 0: no order is left, and none will come */
	{
		dist_mutex_lock(&mutex);
		while (head == tail && open > 0)
			dist_cond_wait(&changed, &mutex);
		int found = head < tail;
		if (found)
			*order = queue[head++ % QUEUE];
		dist_mutex_unlock(&mutex);
		return found;
	}

	void done(void)
	{
		dist_mutex_lock(&mutex);
		if (--open == 0)
			dist_cond_broadcast(&changed);
		dist_mutex_unlock(&mutex);
	}

	void book(struct order order)
	{
		int low = order.from < order.to ? order.from : order.to, high = order.from + order.to - low;
		dist_mutex_lock(&bank[low].lock);
		dist_mutex_lock(&bank[high].lock);
		bank[order.from].balance -= order.amount;
		bank[order.to].balance += order.amount;
		bank[order.from].bookings++;
		bank[order.to].bookings++;
		dist_mutex_unlock(&bank[high].lock);
		dist_mutex_unlock(&bank[low].lock);
	}

	void work(int unused)
	{
		(void)unused;
		for (struct order order; take(&order); done()) {
			if (order.amount <= LARGE) {
				book(order);
				continue;
			}
			int half = order.amount / 2;
			dist_mutex_lock(&mutex);
			add((struct order) { order.from, order.to, half });
			add((struct order) { order.from, order.to, order.amount - half });
			dist_mutex_unlock(&mutex);
		}
	}

	CHECK(threads >= 1 && accounts >= 2 && transfers >= 1);
	memset(bank, 0, sizeof bank);
	unsigned long random = 4;
	dist_mutex_lock(&mutex);
	for (int i = 0; i < transfers; i++)
		add(random_order(&random, accounts));
	dist_mutex_unlock(&mutex);
	run_threads(threads, work);

	long *balance = private_bytes(accounts * sizeof *balance);
	int *bookings = private_bytes(accounts * sizeof *bookings);
	random = 4;
	int pieces(int amount) { return amount <= LARGE ? 1 : pieces(amount / 2) + pieces(amount - amount / 2); }
	for (int i = 0; i < transfers; i++) {
		struct order order = random_order(&random, accounts);
		balance[order.from] -= order.amount;
		balance[order.to] += order.amount;
		bookings[order.from] += pieces(order.amount);
		bookings[order.to] += pieces(order.amount);
	}
	for (int i = 0; i < accounts; i++) {
		CHECK_EQ(bank[i].balance, balance[i]);
		CHECK_EQ(bank[i].bookings, bookings[i]);
	}
	return verified("accounts", threads);
}

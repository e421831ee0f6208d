/* sync: mutexes, semaphores, barriers and condition variables between nodes, and what wrong use returns. */
#include <limits.h>
#include "check.h"

static dist_mutex_t global_mutex = DIST_MUTEX_INITIALIZER;
static dist_sem_t global_sem;

static void wait_until(int *flag, int value)
{
	while (__atomic_load_n(flag, __ATOMIC_SEQ_CST) != value)
		usleep(100);
}

static void mutexes(void)
{
	int nodes = dist_node_count();
	dist_mutex_t mutex;
	int stage = 0;
	long shared = 0;
	void other(int unused)
	{
		CHECK_EQ(dist_mutex_trylock(&mutex), EBUSY);
		CHECK_EQ(dist_mutex_unlock(&mutex), EPERM);
		CHECK_EQ(dist_mutex_destroy(&mutex), EBUSY);
		CHECK_EQ(dist_mutex_init(&mutex, 0), EBUSY);
		__atomic_store_n(&stage, 1, __ATOMIC_SEQ_CST);
		CHECK_EQ(dist_mutex_lock(&mutex), 0);
		CHECK_EQ(shared, 5);
		CHECK_EQ(dist_mutex_unlock(&mutex), 0);
	}
	CHECK_EQ(dist_mutex_init(&mutex, 0), 0);
	CHECK_EQ(dist_mutex_init(&mutex, &stage), EINVAL);
	CHECK_EQ(dist_mutex_unlock(&mutex), EPERM);
	CHECK_EQ(dist_mutex_lock(&mutex), 0);
	CHECK_EQ(dist_mutex_lock(&mutex), EDEADLK);
	CHECK_EQ(dist_mutex_trylock(&mutex), EBUSY);
	CHECK(dist_thr_create_on(nodes - 1, other, 0));
	wait_until(&stage, 1);
	shared = 5;
	CHECK_EQ(dist_mutex_unlock(&mutex), 0);
	dist_thr_join_all();
	CHECK_EQ(dist_mutex_trylock(&mutex), 0);
	CHECK_EQ(dist_mutex_unlock(&mutex), 0);
	CHECK_EQ(dist_mutex_destroy(&mutex), 0);
	CHECK_EQ(dist_mutex_lock(0), EINVAL);
}

/* One static mutex means the same on every node. */
static void global(void)
{
	long sum = 0;
	void add(int rounds)
	{
		for (int i = 0; i < rounds; i++) {
			CHECK_EQ(dist_mutex_lock(&global_mutex), 0);
			sum++;
			CHECK_EQ(dist_mutex_unlock(&global_mutex), 0);
		}
		CHECK_EQ(dist_sem_post(&global_sem), 0);
	}
	for (int node = 0; node < dist_node_count(); node++)
		CHECK(dist_thr_create_on(node, add, 200));
	for (int node = 0; node < dist_node_count(); node++)
		CHECK_EQ(dist_sem_wait(&global_sem), 0);
	CHECK_EQ(sum, 200 * dist_node_count());
	CHECK_EQ(dist_sem_trywait(&global_sem), EAGAIN);
	dist_thr_join_all();
}

static void semaphores(void)
{
	int nodes = dist_node_count();
	dist_sem_t items, room, limit;
	long ring[4], sum = 0;
	int value, stage = 0;
	void producer(int count)
	{
		for (int i = 1; i <= count; i++) {
			CHECK_EQ(dist_sem_wait(&room), 0);
			ring[i % 4] = i;
			CHECK_EQ(dist_sem_post(&items), 0);
		}
	}
	void consumer(int count)
	{
		for (int i = 1; i <= count; i++) {
			CHECK_EQ(dist_sem_wait(&items), 0);
			CHECK_EQ(ring[i % 4], i);
			sum += ring[i % 4];
			CHECK_EQ(dist_sem_post(&room), 0);
		}
	}
	void waiter(int unused)
	{
		__atomic_store_n(&stage, 1, __ATOMIC_SEQ_CST);
		CHECK_EQ(dist_sem_wait(&limit), 0);
	}
	CHECK_EQ(dist_sem_init(&items, 0, 0), 0);
	CHECK_EQ(dist_sem_init(&room, 1, 4), 0);
	CHECK(dist_thr_create_on(nodes - 1, producer, 300));
	CHECK(dist_thr_create_on(nodes / 2, consumer, 300));
	dist_thr_join_all();
	CHECK_EQ(sum, 300 * 301 / 2);
	CHECK_EQ(dist_sem_getvalue(&room, &value), 0);
	CHECK_EQ(value, 4);
	CHECK_EQ(dist_sem_getvalue(&room, 0), EINVAL);
	CHECK_EQ(dist_sem_trywait(&items), EAGAIN);

	CHECK_EQ(dist_sem_init(&limit, 0, 2147483648u), EINVAL);
	CHECK_EQ(dist_sem_init(&limit, 0, 2147483647), 0);
	CHECK_EQ(dist_sem_post(&limit), EOVERFLOW);
	CHECK_EQ(dist_sem_trywait(&limit), 0);
	CHECK_EQ(dist_sem_destroy(&limit), 0);

	CHECK_EQ(dist_sem_init(&limit, 0, 0), 0);
	CHECK(dist_thr_create_on(nodes - 1, waiter, 0));
	wait_until(&stage, 1);
	/* It waits, or is about to: then destroying is refused at some point. A semaphore that was destroyed
	 * is one of value 0. */
	int busy = 0;
	for (int i = 0; i < 100000 && !busy; i++) {
		int result = dist_sem_destroy(&limit);
		CHECK(result == 0 || result == EBUSY);
		busy = result == EBUSY;
		if (!busy)
			usleep(100);
	}
	CHECK(busy);
	CHECK_EQ(dist_sem_post(&limit), 0);
	dist_thr_join_all();
	CHECK_EQ(dist_sem_destroy(&limit), 0);
}

static void barriers(void)
{
	int nodes = dist_node_count();
	enum { ROUNDS = 50 };
	dist_barrier_t barrier;
	long arrived = 0, serials = 0;
	int count = nodes + 1;
	void player(int unused)
	{
		for (int round = 1; round <= ROUNDS; round++) {
			__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
			int result = dist_barrier_wait(&barrier);
			CHECK(result == 0 || result == DIST_BARRIER_SERIAL_THREAD);
			if (result)
				__atomic_fetch_add(&serials, 1, __ATOMIC_SEQ_CST);
			CHECK(__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) >= (long)round * count);
			/* Nobody is a round ahead: the next meeting needs us. */
			CHECK(__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < (long)(round + 1) * count);
		}
	}
	CHECK_EQ(dist_barrier_init(&barrier, 0, 0), EINVAL);
	CHECK_EQ(dist_barrier_wait(&barrier), EINVAL);
	CHECK_EQ(dist_barrier_init(&barrier, 0, count), 0);
	for (int i = 0; i < count; i++)
		CHECK(dist_thr_create(player, 0));
	dist_thr_join_all();
	CHECK_EQ(serials, ROUNDS);
	CHECK_EQ(arrived, ROUNDS * count);
	CHECK_EQ(dist_barrier_destroy(&barrier), 0);
}

/* Condition variable and mutex, each at home on another node. */
static void conditions(int cond_node, int mutex_node)
{
	int nodes = dist_node_count();
	dist_cond_t *cond = 0;
	dist_mutex_t *mutex = 0;
	int done = 0;
	long queue = 0, taken = 0, woken = 0;

	void use(int unused)
	{
		void taker(int count)
		{
			for (int i = 0; i < count; i++) {
				CHECK_EQ(dist_mutex_lock(mutex), 0);
				while (queue == 0)
					CHECK_EQ(dist_cond_wait(cond, mutex), 0);
				queue--;
				taken++;
				CHECK_EQ(dist_mutex_unlock(mutex), 0);
			}
		}
		void sleeper(int unused)
		{
			CHECK_EQ(dist_mutex_lock(mutex), 0);
			queue++;
			while (!done)
				CHECK_EQ(dist_cond_wait(cond, mutex), 0);
			woken++;
			CHECK_EQ(dist_mutex_unlock(mutex), 0);
		}
		CHECK_EQ(dist_cond_wait(cond, mutex), EPERM);
		CHECK_EQ(dist_cond_signal(cond), 0);
		CHECK_EQ(dist_cond_broadcast(cond), 0);
		for (int i = 0; i < nodes; i++)
			CHECK(dist_thr_create_on(i, taker, 20));
		for (int i = 0; i < 20 * nodes; i++) {
			CHECK_EQ(dist_mutex_lock(mutex), 0);
			queue++;
			CHECK_EQ(dist_cond_signal(cond), 0);
			CHECK_EQ(dist_mutex_unlock(mutex), 0);
		}
		dist_thr_join_all();
		CHECK_EQ(taken, 20 * nodes);
		CHECK_EQ(queue, 0);

		for (int i = 0; i < nodes; i++)
			CHECK(dist_thr_create_on(i, sleeper, 0));
		for (;;) {
			CHECK_EQ(dist_mutex_lock(mutex), 0);
			if (queue == nodes)
				break;
			CHECK_EQ(dist_mutex_unlock(mutex), 0);
			usleep(200);
		}
		done = 1;
		CHECK_EQ(dist_cond_destroy(cond), EBUSY);
		CHECK_EQ(dist_cond_broadcast(cond), 0);
		CHECK_EQ(dist_mutex_unlock(mutex), 0);
		dist_thr_join_all();
		CHECK_EQ(woken, nodes);
		CHECK_EQ(dist_cond_destroy(cond), 0);
		CHECK_EQ(dist_mutex_destroy(mutex), 0);
	}
	void own_mutex(int unused)
	{
		dist_mutex_t own = DIST_MUTEX_INITIALIZER;
		void lend(int unused)
		{
			mutex = &own;
			use(0);
		}
		CHECK_EQ(dist_thr_join(dist_thr_create(lend, 0)), 0);
	}
	void own_cond(int unused)
	{
		dist_cond_t own;
		void lend(int unused)
		{
			CHECK_EQ(dist_cond_init(&own, 0), 0);
			cond = &own;
			CHECK_EQ(dist_thr_join(dist_thr_create_on(mutex_node, own_mutex, 0)), 0);
		}
		CHECK_EQ(dist_thr_join(dist_thr_create(lend, 0)), 0);
	}
	CHECK_EQ(dist_thr_join(dist_thr_create_on(cond_node, own_cond, 0)), 0);
}

/* A mutex in a function called again and again lies at the same address; each one starts unlocked. */
static void left_locked(int node, long *total)
{
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	dist_sem_t sem;
	void use(long unused)
	{
		CHECK_EQ(dist_mutex_lock(&mutex), 0);
		CHECK_EQ(dist_sem_trywait(&sem), EAGAIN);
		CHECK_EQ(dist_sem_post(&sem), 0);
		++*total;
		/* And ends without giving it back. */
	}
	CHECK_EQ(dist_sem_init(&sem, 0, 0), 0);
	CHECK(dist_thr_create_on(node, use, 0));
}

static void reuse(void)
{
	long total = 0;
	void begin(int value) { total = value; }
	dist_thr_create(begin, 0);
	dist_thr_join_all();
	for (int i = 0; i < 200; i++)
		left_locked(i % dist_node_count(), &total);
	CHECK_EQ(total, 200);
}

int main(void)
{
	int nodes = dist_node_count();
	mutexes();
	global();
	semaphores();
	barriers();
	for (int i = 0; i < 3; i++)
		conditions(i % nodes, (i * 2 + 1) % nodes);
	conditions(0, 0);
	reuse();
	printf("synchronization agrees\n");
	return 0;
}

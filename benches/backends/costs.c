/* costs.c: what each operation on shared memory costs with the fault backend in use, on two nodes.
 *
 * Estimate on one processor each: first_touch 3-10 us, a fault and a call; local_fault the same; a miss 13-20 us, a fault
 * and a round trip; upgrade as a miss; hand_over two of them; mutex and barrier 10 us, without any fault. */
#include "../peers/burst.h"

enum { OBJECTS = 500, STRIDE = 197, TURNS = 300, TOUCHES = 100 };

int main(void)
{
	char *small[OBJECTS], *pages[OBJECTS], *sequential[OBJECTS];
	_Atomic int turn = 0;
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	dist_barrier_t barrier;

	void first_touch(void)
	{
		static struct samples samples;
		/* One fault maps 64 pages of the page arena. */
		char *block = dist_malloc((TOUCHES + 1) * 64L * PAGE);
		burst(1);
		for (int i = 0; i <= TOUCHES; i++) {
			long start = now_ns();
			store_byte(block + i * 64L * PAGE, 1);
			add_sample(&samples, now_ns() - start);
		}
		report("first_touch", &samples);
		dist_free(block);
	}
	void touch(const char *name, char *const *objects, int writes)
	{
		static struct samples samples;
		/* Out of order: neighbours in turn would be fetched ahead. */
		for (int i = 0; i < OBJECTS; i++) {
			char *object = objects[(long)i * STRIDE % OBJECTS];
			long start = now_ns();
			if (writes)
				store_byte(object, 1);
			else
				load_byte(object);
			add_sample(&samples, now_ns() - start);
		}
		report(name, &samples);
	}
	void misses(void)
	{
		static char *local[3][OBJECTS] __attribute__((node_local));
		memcpy(local[0], small, sizeof small);
		memcpy(local[1], pages, sizeof pages);
		memcpy(local[2], sequential, sizeof sequential);
		burst(1);
		touch("read_64", local[0], 0);
		touch("read_4096", local[1], 0);
		/* A copy of a weak object is written without asking anybody: what is left is the fault. */
		touch("local_fault", local[0], 1);
		touch("read_sequential", local[2], 0);
		touch("upgrade", local[2], 1);
	}
	void hands_over(long me)
	{
		static struct samples samples;
		burst(me);
		for (int i = 0; i < TURNS; i++) {
			long start = now_ns();
			while (turn % 2 != me)
				;
			turn++;
			if (me == 0 && i > 0)
				add_sample(&samples, (now_ns() - start) / 2.0);
		}
		report("hand_over", &samples);
	}
	void locks(long me)
	{
		static struct samples samples;
		burst(me);
		for (int i = 0; i < TURNS && me == 1; i++) {
			long start = now_ns();
			dist_mutex_lock(&mutex);
			dist_mutex_unlock(&mutex);
			add_sample(&samples, now_ns() - start);
		}
		report("mutex", &samples);
	}
	void meets(long me)
	{
		static struct samples samples;
		burst(me);
		for (int i = 0; i < TURNS; i++) {
			long start = now_ns();
			dist_barrier_wait(&barrier);
			if (me == 0)
				add_sample(&samples, now_ns() - start);
		}
		report("barrier", &samples);
	}
	void both(void (*function)(long))
	{
		dist_thr_t one = dist_thr_create_on(1, function, 1);
		dist_thr_t other = dist_thr_create_on(0, function, 0);
		dist_thr_join(one);
		dist_thr_join(other);
	}

	if (dist_node_count() != 2)
		return 1;
	for (int i = 0; i < OBJECTS; i++) {
		memset(small[i] = dist_malloc(64), 1, 64);
		memset(pages[i] = dist_malloc(PAGE), 1, PAGE);
		memset(sequential[i] = dist_malloc_policy(64, "sequential invalidate"), 1, 64);
	}
	dist_barrier_init(&barrier, 0, 2);
	dist_thr_join(dist_thr_create_on(1, first_touch, 0));
	dist_thr_join(dist_thr_create_on(1, misses, 0));
	both(hands_over);
	both(locks);
	both(meets);
	return 0;
}

/* handlers KIND WORK: a thread does the same all the time, and a handler that interrupts it there uses shared objects which
 * another node takes away again and again. KIND is how the handler was set: plain, nested (its own signal may interrupt it)
 * or stacked (it has a stack of its own). WORK is what the thread does: malloc, mutexes of its own node that the other
 * one uses, too, posts of a semaphore of the other node, objects of the shared heap, small and large, or threads of the C
 * library, while the other node starts threads there. */
#include <signal.h>
#include <time.h>
#include "check.h"

enum { OBJECTS = 16, RUNS = 3000, BYTES_MAX = 6000, STACK_BYTES = 1 << 16 };

static volatile int *object_of[OBJECTS] __attribute__((node_local));
static volatile long run_count __attribute__((node_local));

static void on_signal(int number)
{
	(void)number;
	__atomic_fetch_add(object_of[run_count % OBJECTS], 1, __ATOMIC_RELAXED);
	run_count++;
}

static void set(const char *kind)
{
	struct sigaction action = { .sa_handler = on_signal };
	if (strcmp(kind, "nested") == 0)
		action.sa_flags = SA_NODEFER;
	if (strcmp(kind, "stacked") == 0) {
		stack_t stack = { .ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES };
		CHECK_EQ(sigaltstack(&stack, 0), 0);
		action.sa_flags = SA_ONSTACK;
	}
	CHECK_EQ(sigaction(SIGUSR1, &action, 0), 0);
}

static int is(const char *word, const char *other)
{
	return strcmp(word, other) == 0;
}

static void *returns(void *argument)
{
	return argument;
}

int main(int argc, char **argv)
{
	CHECK_EQ(argc, 3);
	const char *work = argv[2];
	volatile int objects[OBJECTS] = { 0 };
	_Atomic int is_done = 0;
	_Atomic(dist_mutex_t *) shared_mutex = 0;
	dist_sem_t sem;
	CHECK_EQ(dist_sem_init(&sem, 0, 0), 0);

	void works(long unused)
	{
		(void)unused;
		for (int i = 0; i < OBJECTS; i++)
			object_of[i] = &objects[i];
		dist_mutex_t mutex;
		CHECK_EQ(dist_mutex_init(&mutex, 0), 0);
		shared_mutex = &mutex;
		set(argv[1]);
		pthread_t self = pthread_self();
		/* A thread that this node doesn't know interrupts the one that works. */
		void *interrupts(void *unused)
		{
			(void)unused;
			struct timespec pause = { .tv_nsec = 100000 };
			for (long sent = 0; run_count < RUNS && sent < 100L * RUNS; sent++) {
				pthread_kill(self, SIGUSR1);
				nanosleep(&pause, 0);
			}
			return 0;
		}
		pthread_t interrupter;
		CHECK_EQ(pthread_create(&interrupter, 0, interrupts, 0), 0);
		void *kept[8] = { 0 };
		for (unsigned i = 0; run_count < RUNS; i++) {
			void **place = &kept[i % 8];
			size_t bytes = 1 + i * 2654435761u % BYTES_MAX;
			if (is(work, "malloc")) {
				free(*place);
				*place = malloc(bytes);
			} else if (is(work, "mutexes")) {
				CHECK_EQ(dist_mutex_lock(&mutex), 0);
				CHECK_EQ(dist_mutex_unlock(&mutex), 0);
			} else if (is(work, "posts")) {
				CHECK_EQ(dist_sem_post(&sem), 0);
			} else if (is(work, "heap")) {
				if (*place)
					dist_free(*place);
				CHECK((*place = dist_malloc(bytes)) != 0);
			} else if (is(work, "threads")) {
				pthread_t made;
				CHECK_EQ(pthread_create(&made, 0, returns, 0), 0);
				CHECK_EQ(pthread_join(made, 0), 0);
			} else {
				CHECK(0);
			}
		}
		CHECK_EQ(pthread_join(interrupter, 0), 0);
		is_done = 1;
		while (is_done == 1)
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, 0);
	}

	void ends(long unused) { (void)unused; }

	dist_thr_t thread = dist_thr_create_on(dist_node_count() - 1, works, 0);
	dist_mutex_t *mutex;
	while (!(mutex = shared_mutex))
		;
	long seen = 0;
	for (int i = 0; !is_done; i++) {
		seen += objects[i % OBJECTS];
		if (is(work, "mutexes")) {
			CHECK_EQ(dist_mutex_lock(mutex), 0);
			CHECK_EQ(dist_mutex_unlock(mutex), 0);
		}
		if (is(work, "threads"))
			CHECK_EQ(dist_thr_join(dist_thr_create_on(dist_node_count() - 1, ends, 0)), 0);
	}
	is_done = 2;
	CHECK(seen > 0);
	dist_thr_join(thread);
	long sum = 0;
	for (int i = 0; i < OBJECTS; i++)
		sum += objects[i];
	CHECK(sum >= RUNS);
	puts("handlers agree");
	return 0;
}

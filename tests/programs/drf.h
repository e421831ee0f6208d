/* drf.h - plain POSIX threads under Umbel's names, for drf.c compiled by gcc with -DPLAIN. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

typedef unsigned long dist_thr_t;
typedef pthread_mutex_t dist_mutex_t;
typedef pthread_cond_t dist_cond_t;
typedef pthread_barrier_t dist_barrier_t;
typedef sem_t dist_sem_t;

#define dist_mutex_init(mutex, unused) pthread_mutex_init(mutex, unused)
#define dist_mutex_lock pthread_mutex_lock
#define dist_mutex_trylock pthread_mutex_trylock
#define dist_mutex_unlock pthread_mutex_unlock
#define dist_cond_init(cond, unused) pthread_cond_init(cond, unused)
#define dist_cond_wait pthread_cond_wait
#define dist_cond_broadcast pthread_cond_broadcast
#define dist_barrier_init(barrier, unused, count) pthread_barrier_init(barrier, unused, count)
#define dist_barrier_wait pthread_barrier_wait
#define dist_sem_init sem_init
#define dist_sem_wait sem_wait
#define dist_sem_post sem_post
#define dist_thr_node() 0
#define dist_node_count() 1

struct plain_start {
	void (*fn)(long);
	long arg;
};

static void *plain_thread(void *data)
{
	struct plain_start start = *(struct plain_start *)data;
	free(data);
	start.fn(start.arg);
	return 0;
}

static dist_thr_t plain_create(void (*fn)(long), long arg)
{
	struct plain_start *start = malloc(sizeof *start);
	pthread_t thread;
	*start = (struct plain_start) { fn, arg };
	return pthread_create(&thread, 0, plain_thread, start) ? 0 : thread;
}

#define dist_thr_create(fn, arg) plain_create(fn, arg)
#define dist_thr_create_on(node, fn, arg) ((void)(node), plain_create(fn, arg))
#define dist_thr_join(thread) pthread_join(thread, 0)
#define dist_malloc malloc

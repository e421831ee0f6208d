/* drf < PLAN: runs a program without data races that tests/tests/drf made up, and checks what it reads.
 *
 * The plan gives each thread its list of steps: writes and reads of bytes of shared objects, and synchronization of
 * every kind, which alone decides who may touch which bytes when. So what each read must see is known, and is part of
 * the plan. The same source runs on plain POSIX threads (-DPLAIN), where a wrong plan would be found.
 *
 * With -DGLOBALS two of the objects are globals (--share-globals), with -DHEAP two are on the heap.
 *
 * Prints a hash of each object and the value of each counter at the end. */
#ifdef PLAIN
#include "drf.h"
#endif
#include "check.h"
#include <sched.h>

enum {
	OBJECTS = 10, GUARDS = 4, FLAGS = 6, SEMAPHORES = 6, TURNS = 4, BARRIERS = 6, COUNTERS = 4, THREADS_MAX = 16, WORDS = 6
};

enum kind {
	WRITE, READ, COPY, ADD, POST, WAIT, RAISE, AWAIT, TURN, AWAIT_TURN, MEET, SPAWN, JOIN, COUNT, SCOPE, PAUSE
};

#ifdef GLOBALS
static unsigned char small_global[300], large_global[20000];
#endif

/* word: what the kind needs; expected: of a read, the hash of its bytes. */
struct step {
	int thread, kind, word[WORDS];
	unsigned long expected;
};

static unsigned long number(void)
{
	unsigned long value;
	CHECK_EQ(scanf("%lu", &value), 1);
	return value;
}

/* FNV-1a, 64 bits: www.isthe.com/chongo/tech/comp/fnv. */
static unsigned long hash(const unsigned char *bytes, long stride, long count)
{
	unsigned long sum = 0xcbf29ce484222325;
	for (long i = 0; i < count; i++)
		sum = (sum ^ bytes[i * stride]) * 0x100000001b3;
	return sum;
}

/* The bytes offset, offset + stride, ... get seed, seed + 37, ...; side by side in one call to memcpy. */
static void fill(unsigned char *bytes, long stride, long count, int seed)
{
	unsigned char own[stride == 1 ? count : 1];
	for (long i = 0; i < count; i++)
		*(stride == 1 ? own + i : bytes + i * stride) = seed + 37 * i;
	if (stride == 1)
		memcpy(bytes, own, count);
}

/* An object of this call that children write, each its own bytes, and this thread before and after. */
static void scope(long size, int children, int seed)
{
	unsigned char local[size];
	void part(long child)
	{
		for (long i = child; i < size; i += children) {
			CHECK_EQ(local[i], (unsigned char)(seed + i));
			local[i] += child + 1;
		}
	}
	dist_thr_t handles[children];
	for (long i = 0; i < size; i++)
		local[i] = seed + i;
	for (int child = 0; child < children; child++)
		CHECK(handles[child] = dist_thr_create(part, child));
	for (int child = 0; child < children; child++)
		CHECK_EQ(dist_thr_join(handles[child]), 0);
	for (long i = 0; i < size; i++)
		CHECK_EQ(local[i], (unsigned char)(seed + i + i % children + 1));
}

int main(void)
{
	int threads = number(), step_count = number(), size[OBJECTS], meeting[BARRIERS];
	for (int i = 0; i < OBJECTS; i++)
		size[i] = number();
	for (int i = 0; i < BARRIERS; i++)
		meeting[i] = number();

	/* The objects: each is one for itself. */
	unsigned char o0[1], o1[8], o2[64], o3[size[3]], o4[size[4]], o5[size[5]], o6[size[6]], o7[size[7]], o8[size[8]], o9[size[9]];
	unsigned char *objects[OBJECTS] = { o0, o1, o2, o3, o4, o5, o6, o7, o8, o9 };
	struct step steps[step_count];
	int turns[TURNS] = { 0 };
	_Atomic int flags[FLAGS];
	_Atomic long counters[COUNTERS];
	dist_mutex_t guards[GUARDS], turn_locks[TURNS];
	dist_cond_t turn_changed[TURNS];
	dist_sem_t semaphores[SEMAPHORES];
	dist_barrier_t barriers[BARRIERS];
	dist_thr_t handles[THREADS_MAX];

	/* So that each is captured, and not only reached through a pointer. */
	unsigned char *object(int number)
	{
		switch (number) {
		case 0: return o0;
		case 1: return o1;
		case 2: return o2;
		case 3: return o3;
#ifdef GLOBALS
		case 4: return small_global;
#else
		case 4: return o4;
#endif
		default: return objects[number];
		}
	}
	(void)o5, (void)o6, (void)o7, (void)o8, (void)o9;
#ifdef GLOBALS
	objects[4] = small_global;
	objects[8] = large_global;
#endif
#ifdef HEAP
	objects[5] = dist_malloc(size[5]);
	objects[7] = dist_malloc(size[7]);
#endif

	void lock(dist_mutex_t *mutex, int by_trying)
	{
		if (by_trying)
			for (int looks = 0; dist_mutex_trylock(mutex) != 0; looks++)
				usleep(looks < 10 ? 0 : 50);
		else
			CHECK_EQ(dist_mutex_lock(mutex), 0);
	}

	void await_flag(int flag, int value, int acquire)
	{
		for (int looks = 0; (acquire ? atomic_load_explicit(&flags[flag], memory_order_acquire) : flags[flag]) < value; looks++)
			if (looks < 20)
				sched_yield();
			else
				usleep(50);
	}

	auto void run(long thread);

	void run_step(int index)
	{
		const struct step *step = &steps[index];
		const int *word = step->word;
		int status;
		switch (step->kind) {
		case WRITE:
			fill(object(word[0]) + word[1], word[2], word[3], word[4]);
			break;
		case READ: {
			unsigned long seen = hash(object(word[0]) + word[1], word[2], word[3]);
			if (seen != step->expected) {
				fprintf(stderr, "step %d of thread %d on node %d reads object %d (%p) from byte %d, every %d., %d times: hash %lu, not %lu\n",
					index, step->thread, dist_thr_node(), word[0], object(word[0]), word[1], word[2], word[3], seen, step->expected);
				for (int i = 0; i < word[3] && i < 64; i++)
					fprintf(stderr, "%d ", object(word[0])[word[1] + i * word[2]]);
				fprintf(stderr, "\n");
				exit(1);
			}
			break;
		}
		case COPY:
			memcpy(object(word[2]) + word[3], object(word[0]) + word[1], word[4]);
			break;
		case ADD:
			lock(&guards[word[0]], word[5] & 1);
			for (int i = 0; i < word[4]; i++)
				object(word[1])[word[2] + i * word[3]] += word[5];
			CHECK_EQ(dist_mutex_unlock(&guards[word[0]]), 0);
			break;
		case POST:
			CHECK_EQ(dist_sem_post(&semaphores[word[0]]), 0);
			break;
		case WAIT:
			CHECK_EQ(dist_sem_wait(&semaphores[word[0]]), 0);
			break;
		case RAISE:
			if (word[2])
				atomic_store_explicit(&flags[word[0]], word[1], memory_order_release);
			else
				flags[word[0]] = word[1];
			break;
		case AWAIT:
			await_flag(word[0], word[1], word[2]);
			break;
		case TURN:
			dist_mutex_lock(&turn_locks[word[0]]);
			turns[word[0]] = word[1];
			dist_cond_broadcast(&turn_changed[word[0]]);
			dist_mutex_unlock(&turn_locks[word[0]]);
			break;
		case AWAIT_TURN:
			dist_mutex_lock(&turn_locks[word[0]]);
			while (turns[word[0]] < word[1])
				CHECK_EQ(dist_cond_wait(&turn_changed[word[0]], &turn_locks[word[0]]), 0);
			dist_mutex_unlock(&turn_locks[word[0]]);
			break;
		case MEET:
			status = dist_barrier_wait(&barriers[word[0]]);
			CHECK(status == 0 || status == -1);
			break;
		case SPAWN:
			if (word[1] < 0)
				handles[word[0]] = dist_thr_create(run, word[0]);
			else
				handles[word[0]] = dist_thr_create_on(word[1] % dist_node_count(), run, word[0]);
			CHECK(handles[word[0]]);
			break;
		case JOIN:
			CHECK_EQ(dist_thr_join(handles[word[0]]), 0);
			break;
		case COUNT:
			counters[word[0]] += word[1];
			break;
		case SCOPE:
			scope(word[0], word[1], word[2]);
			break;
		case PAUSE:
			usleep(word[0]);
			break;
		default:
			CHECK(!"a kind of step");
		}
	}

	void run(long thread)
	{
		for (int i = 0; i < step_count; i++)
			if (steps[i].thread == thread)
				run_step(i);
	}

	CHECK(threads >= 1 && threads <= THREADS_MAX);
	for (int i = 0; i < OBJECTS; i++)
		memset(objects[i], 0, size[i]);
	for (int i = 0; i < FLAGS; i++)
		flags[i] = 0;
	for (int i = 0; i < COUNTERS; i++)
		counters[i] = 0;
	for (int i = 0; i < GUARDS; i++)
		dist_mutex_init(&guards[i], 0);
	for (int i = 0; i < TURNS; i++) {
		dist_mutex_init(&turn_locks[i], 0);
		dist_cond_init(&turn_changed[i], 0);
	}
	for (int i = 0; i < SEMAPHORES; i++)
		dist_sem_init(&semaphores[i], 0, 0);
	for (int i = 0; i < BARRIERS; i++)
		dist_barrier_init(&barriers[i], 0, meeting[i] ? meeting[i] : 1);
	for (int i = 0; i < step_count; i++) {
		steps[i].thread = number();
		steps[i].kind = number();
		for (int j = 0; j < WORDS; j++)
			steps[i].word[j] = number();
		steps[i].expected = number();
	}

	/* Thread 0 is main; it joins every thread that it has created, and these theirs. */
	run(0);
	for (int i = 0; i < OBJECTS; i++)
		printf("object %d: %lu\n", i, hash(objects[i], 1, size[i]));
	for (int i = 0; i < COUNTERS; i++)
		printf("counter %d: %ld\n", i, (long)counters[i]);
	return 0;
}

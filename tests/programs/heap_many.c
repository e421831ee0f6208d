/* The shared heap under load: a million objects and their end, and threads of all nodes that make, use, hand
 * over and free objects at random.
 *
 *     heap_many million
 *     heap_many random SEED STEPS
 *     heap_many churn THREADS STEPS
 */
#include "check.h"
#include <sys/stat.h>
#include <time.h>

static unsigned long random_next(unsigned long *state)
{
	unsigned long value = *state += 0x9E3779B97F4A7C15;
	value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
	value = (value ^ value >> 27) * 0x94D049BB133111EB;
	return value ^ value >> 31;
}

/* Bytes that the window's memory file has, or, in a program alone, that this process has. */
static long memory_bytes(void)
{
	char path[64], target[64], line[256];
	for (int descriptor = 0; descriptor < 256; descriptor++) {
		struct stat status;
		snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
		ssize_t length = readlink(path, target, sizeof target - 1);
		if (length < 0)
			continue;
		target[length] = 0;
		if (strstr(target, "umbel-window") && fstat(descriptor, &status) == 0)
			return status.st_blocks * 512L;
	}
	long kilobytes = 0;
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	CHECK(file != 0);
	while (fgets(line, sizeof line, file) && sscanf(line, "Rss: %ld kB", &kilobytes) != 1)
		;
	fclose(file);
	return kilobytes * 1024;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static void million(void)
{
	enum { COUNT = 1000000, BYTES = 64, BIG = 64, BIG_BYTES = 4 << 20 };
	struct item { long number; struct item *next; long filler[6]; };
	struct item *head = 0;
	long before = memory_bytes();
	double start = now();
	for (long i = 0; i < COUNT; i++) {
		struct item *item = dist_malloc(BYTES);
		item->number = i;
		item->next = head;
		head = item;
	}
	double made = now();
	long full = memory_bytes();
	void follow(int unused)
	{
		long count = 0;
		for (struct item *item = head; item && count < 20000; item = item->next)
			CHECK_EQ(item->number, COUNT - 1 - count++);
		CHECK_EQ(count, 20000);
	}
	CHECK(dist_thr_create_on(dist_node_count() - 1, follow, 0));
	dist_thr_join_all();
	double followed = now();
	while (head) {
		struct item *next = head->next;
		dist_free(head);
		head = next;
	}
	double freed = now();
	char *big[BIG];
	for (int i = 0; i < BIG; i++) {
		big[i] = dist_malloc(BIG_BYTES);
		memset(big[i], i, BIG_BYTES);
	}
	long big_bytes = memory_bytes();
	for (int i = 0; i < BIG; i++)
		dist_free(big[i]);
	/* The service thread gives it back when it comes to it. */
	long after = 0;
	for (int wait = 0; wait < 3000; wait++) {
		after = memory_bytes();
		if (after < before + 32 * COUNT)
			break;
		usleep(10000);
	}
	fprintf(stderr, "make %.0f ns each, follow 20000 in %.3f s, free %.0f ns each; MB: before %ld, million %ld, big %ld, after %ld\n",
		(made - start) / COUNT * 1e9, followed - made, (freed - followed) / COUNT * 1e9, before >> 20, full >> 20,
		big_bytes >> 20, after >> 20);
	CHECK(full - before >= COUNT * BYTES);
	CHECK(big_bytes - before >= (long)BIG * BIG_BYTES);
	CHECK(after < before + 32 * COUNT);
	printf("a million\n");
}

/* Slots of a table that all threads share, each with its mutex; a slot's object has a checksum. */
enum { PLACES = 97, THREADS = 2 };

struct object { unsigned long size, seed; unsigned char bytes[]; };

struct place { dist_mutex_t mutex; struct object *object; };

static unsigned long pick_size(unsigned long *state)
{
	unsigned long kind = random_next(state) % 100;
	if (kind < 70)
		return random_next(state) % 200;
	if (kind < 90)
		return random_next(state) % 3000;
	return random_next(state) % 40000;
}

static unsigned char byte_of(unsigned long seed, unsigned long i)
{
	return (unsigned char)((seed ^ i) * 0x9E3779B97F4A7C15 >> 56);
}

static void stress(unsigned long seed, long steps)
{
	int nodes = dist_node_count();
	struct place *places[PLACES];
	for (int i = 0; i < PLACES; i++)
		places[i] = dist_calloc(1, sizeof *places[i]);
	void run(int thread)
	{
		unsigned long state = seed * 1000 + thread;
		for (long step = 0; step < steps; step++) {
			struct place *place = places[random_next(&state) % PLACES];
			dist_mutex_lock(&place->mutex);
			struct object *object = place->object;
			if (object)
				for (unsigned long i = 0; i < object->size; i += 1 + i / 16)
					CHECK_EQ(object->bytes[i], byte_of(object->seed, i));
			unsigned long action = random_next(&state) % 4;
			if (action == 0 && object) {
				dist_free(object);
				object = 0;
			} else if (action == 1 || !object) {
				if (object)
					dist_free(object);
				unsigned long size = pick_size(&state);
				object = dist_malloc(sizeof *object + size);
				CHECK(object != 0 && object->size == 0 && object->seed == 0);
				object->size = size;
				object->seed = random_next(&state);
				for (unsigned long i = 0; i < size; i++)
					object->bytes[i] = byte_of(object->seed, i);
			} else if (action == 2) {
				unsigned long size = pick_size(&state);
				unsigned long kept = object->size < size ? object->size : size;
				object = dist_realloc(object, sizeof *object + size);
				for (unsigned long i = 0; i < kept; i += 1 + i / 16)
					CHECK_EQ(object->bytes[i], byte_of(object->seed, i));
				for (unsigned long i = kept; i < size; i++)
					object->bytes[i] = byte_of(object->seed, i);
				object->size = size;
			}
			place->object = object;
			dist_mutex_unlock(&place->mutex);
		}
	}
	for (int thread = 0; thread < THREADS * nodes; thread++)
		CHECK(dist_thr_create_on(thread % nodes, run, thread));
	dist_thr_join_all();
	for (int i = 0; i < PLACES; i++) {
		dist_free(places[i]->object);
		dist_free(places[i]);
	}
	printf("random steps\n");
}

/* Many threads of every node at the same allocator; what one makes, another frees. */
static void churn(int threads, long steps)
{
	enum { BATCH = 40 };
	struct parcel { struct parcel *next; long maker, number; unsigned char filler[]; };
	int nodes = dist_node_count(), all = threads * nodes;
	struct { dist_mutex_t mutex; struct parcel *first; } *boxes[all];
	for (int i = 0; i < all; i++)
		boxes[i] = dist_calloc(1, sizeof *boxes[i]);
	void run(int thread)
	{
		unsigned long state = thread;
		for (long step = 0; step < steps; step++) {
			struct parcel *kept[BATCH];
			for (int i = 0; i < BATCH; i++) {
				unsigned long extra = random_next(&state) % 300;
				kept[i] = dist_malloc(sizeof *kept[i] + extra);
				CHECK(kept[i] != 0 && kept[i]->number == 0 && kept[i]->maker == 0);
				kept[i]->maker = thread;
				kept[i]->number = step * BATCH + i;
				memset(kept[i]->filler, thread, extra);
			}
			/* A few go to another thread, the others end here. */
			for (int i = 0; i < BATCH; i++) {
				CHECK_EQ(kept[i]->number, step * BATCH + i);
				CHECK_EQ(kept[i]->maker, thread);
				if (i % 10) {
					dist_free(kept[i]);
					continue;
				}
				int to = random_next(&state) % all;
				dist_mutex_lock(&boxes[to]->mutex);
				kept[i]->next = boxes[to]->first;
				boxes[to]->first = kept[i];
				dist_mutex_unlock(&boxes[to]->mutex);
			}
			dist_mutex_lock(&boxes[thread]->mutex);
			struct parcel *arrived = boxes[thread]->first;
			boxes[thread]->first = 0;
			dist_mutex_unlock(&boxes[thread]->mutex);
			while (arrived) {
				struct parcel *next = arrived->next;
				CHECK(arrived->maker < all && arrived->number % 10 == 0);
				dist_free(arrived);
				arrived = next;
			}
		}
	}
	for (int thread = 0; thread < all; thread++)
		CHECK(dist_thr_create_on(thread % nodes, run, thread));
	dist_thr_join_all();
	for (int i = 0; i < all; i++) {
		while (boxes[i]->first) {
			struct parcel *next = boxes[i]->first->next;
			dist_free(boxes[i]->first);
			boxes[i]->first = next;
		}
		dist_free(boxes[i]);
	}
	printf("churned\n");
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	if (!strcmp(argv[1], "million"))
		million();
	else if (!strcmp(argv[1], "churn"))
		churn(atoi(argv[2]), atol(argv[3]));
	else
		stress(strtoul(argv[2], 0, 10), atol(argv[3]));
	return 0;
}

/* The shared heap: objects of all sizes made, followed, changed and freed by threads of all nodes.
 * Data pass through joins, mutexes and barriers only. */
#include "check.h"
#include <stdint.h>

static unsigned long random_next(unsigned long *state)
{
	unsigned long value = *state += 0x9E3779B97F4A7C15;
	value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
	value = (value ^ value >> 27) * 0x94D049BB133111EB;
	return value ^ value >> 31;
}

/* What byte i of an object with this seed is. */
static unsigned char pattern(unsigned long seed, unsigned long i)
{
	return (unsigned char)((seed + i) * 0x9E3779B97F4A7C15 >> 56);
}

static void fill(unsigned char *bytes, unsigned long size, unsigned long seed)
{
	for (unsigned long i = 0; i < size; i++)
		bytes[i] = pattern(seed, i);
}

static void verify(const unsigned char *bytes, unsigned long size, unsigned long seed)
{
	for (unsigned long i = 0; i < size; i++)
		CHECK_EQ(bytes[i], pattern(seed, i));
}

/* Every size and alignment: aligned, zero, writable to its last byte, on this node and on the last one. */
static void sizes(void)
{
	static const unsigned long all[] = { 0, 1, 16, 48, 63, 64, 65, 100, 128, 129, 255, 256, 500, 512, 1000, 1024,
		1025, 2047, 2048, 2049, 3000, 4095, 4096, 4097, 10000, 65536, 300001 };
	enum { COUNT = sizeof all / sizeof *all };
	unsigned char *objects[COUNT];
	for (int i = 0; i < COUNT; i++) {
		objects[i] = dist_malloc(all[i]);
		CHECK(objects[i] != 0);
		CHECK_EQ((uintptr_t)objects[i] % 16, 0);
		for (unsigned long k = 0; k < all[i]; k++)
			CHECK_EQ(objects[i][k], 0);
		fill(objects[i], all[i], i);
	}
	void use(int unused)
	{
		for (int i = 0; i < COUNT; i++) {
			verify(objects[i], all[i], i);
			fill(objects[i], all[i], i + 1000);
		}
	}
	CHECK(dist_thr_create_on(dist_node_count() - 1, use, 0));
	dist_thr_join_all();
	for (int i = 0; i < COUNT; i++) {
		verify(objects[i], all[i], i + 1000);
		dist_free(objects[i]);
	}
	for (unsigned long align = 16; align <= 1 << 24; align *= 4) {
		unsigned char *object = dist_aligned_alloc(align, 100);
		CHECK_EQ((uintptr_t)object % align, 0);
		object[99] = 1;
		dist_free(object);
	}
	errno = 0;
	void *volatile none = dist_aligned_alloc(48, 100);
	CHECK(!none && errno == EINVAL);
	unsigned long volatile huge = 1UL << 45;
	none = dist_malloc(huge);
	CHECK(!none && errno == ENOMEM);
	none = dist_calloc(huge, huge);
	CHECK(!none && errno == ENOMEM);
	none = dist_malloc_policy(10, "sequential nonsense");
	CHECK(!none && errno == EINVAL);
	dist_free(0);
}

struct node { long value; struct node *next, *left, *right; };

/* One list: each node appends its part in turn, the next one walks it all. */
static void list(int length)
{
	struct node *head = 0;
	long count = 0;
	void append(int part)
	{
		long seen = 0;
		struct node **end = &head;
		for (; *end; end = &(*end)->next)
			CHECK_EQ((*end)->value, seen++);
		CHECK_EQ(seen, count);
		for (int i = 0; i < length; i++) {
			*end = dist_malloc(sizeof **end);
			(*end)->value = count++;
			end = &(*end)->next;
		}
	}
	int nodes = dist_node_count();
	for (int part = 0; part < 2 * nodes; part++) {
		dist_thr_t thread = dist_thr_create_on(part % nodes, append, part);
		CHECK_EQ(dist_thr_join(thread), 0);
	}
	/* Freed by whoever comes, not by whoever made it. */
	void take_down(int from)
	{
		for (int i = 0; i < length && head; i++) {
			struct node *next = head->next;
			dist_free(head);
			head = next;
		}
	}
	for (int part = 0; part < 2 * nodes; part++) {
		dist_thr_t thread = dist_thr_create_on((part + 1) % nodes, take_down, part);
		CHECK_EQ(dist_thr_join(thread), 0);
	}
	CHECK(head == 0);
}

/* A search tree that every node adds to under one mutex; then all read it at once. */
static void tree(int each)
{
	struct node *root = 0;
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	int nodes = dist_node_count();
	long total = (long)each * nodes;
	void add(int node)
	{
		unsigned long state = node + 1;
		for (int i = 0; i < each; i++) {
			struct node *fresh = dist_calloc(1, sizeof *fresh);
			fresh->value = (long)(random_next(&state) % 1000000) * nodes + node;
			dist_mutex_lock(&mutex);
			struct node **place = &root;
			while (*place)
				place = fresh->value < (*place)->value ? &(*place)->left : &(*place)->right;
			*place = fresh;
			dist_mutex_unlock(&mutex);
		}
	}
	for (int node = 0; node < nodes; node++)
		CHECK(dist_thr_create_on(node, add, node));
	dist_thr_join_all();
	void walk(int unused)
	{
		long count = 0, last = -1;
		void visit(struct node *at)
		{
			if (!at)
				return;
			visit(at->left);
			CHECK(at->value >= last);
			last = at->value;
			count++;
			visit(at->right);
		}
		visit(root);
		CHECK_EQ(count, total);
	}
	for (int node = 0; node < nodes; node++)
		CHECK(dist_thr_create_on(node, walk, 0));
	dist_thr_join_all();
	void destroy(struct node *at)
	{
		if (!at)
			return;
		destroy(at->left);
		destroy(at->right);
		dist_free(at);
	}
	destroy(root);
}

/* A hash table with a mutex for each bucket, in the heap itself; filled, read and emptied by all nodes. */
static void table(int each)
{
	enum { BUCKETS = 64 };
	struct bucket { dist_mutex_t mutex; struct node *first; };
	int nodes = dist_node_count();
	struct bucket **buckets = dist_calloc(BUCKETS, sizeof *buckets);
	for (int i = 0; i < BUCKETS; i++)
		buckets[i] = dist_calloc(1, sizeof *buckets[i]);
	void insert(int node)
	{
		for (long i = 0; i < each; i++) {
			long value = i * nodes + node;
			struct node *fresh = dist_malloc(sizeof *fresh);
			fresh->value = value;
			struct bucket *bucket = buckets[value * 31 % BUCKETS];
			dist_mutex_lock(&bucket->mutex);
			fresh->next = bucket->first;
			bucket->first = fresh;
			dist_mutex_unlock(&bucket->mutex);
		}
	}
	void remove_others(int node)
	{
		for (long i = 0; i < each; i++) {
			long value = i * nodes + (node + 1) % nodes;
			struct bucket *bucket = buckets[value * 31 % BUCKETS];
			dist_mutex_lock(&bucket->mutex);
			struct node **place = &bucket->first;
			while (*place && (*place)->value != value)
				place = &(*place)->next;
			CHECK(*place != 0);
			struct node *gone = *place;
			*place = gone->next;
			dist_mutex_unlock(&bucket->mutex);
			dist_free(gone);
		}
	}
	for (int node = 0; node < nodes; node++)
		CHECK(dist_thr_create_on(node, insert, node));
	dist_thr_join_all();
	for (int node = 0; node < nodes; node++)
		CHECK(dist_thr_create_on(node, remove_others, node));
	dist_thr_join_all();
	for (int i = 0; i < BUCKETS; i++) {
		CHECK(buckets[i]->first == 0);
		dist_free(buckets[i]);
	}
	dist_free(buckets);
}

/* Sizes change on the node that made the object and on others; the bytes stay. */
static void resize(void)
{
	int nodes = dist_node_count();
	unsigned char *object = dist_realloc(0, 10);
	unsigned long size = 10;
	fill(object, size, 7);
	void change(long wanted)
	{
		object = dist_realloc(object, wanted);
		CHECK(object != 0);
		verify(object, size < (unsigned long)wanted ? size : (unsigned long)wanted, 7);
		size = wanted;
		fill(object, size, 7);
	}
	static const long wanted[] = { 12, 60, 64, 65, 200, 2048, 2049, 5000, 8192, 100000, 99000, 3000, 100, 1, 70 };
	for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		CHECK(dist_thr_create_on((i + i / 3) % nodes, change, wanted[i]));
		dist_thr_join_all();
	}
	dist_free(object);
}

/* Members of a group lie in one unit, and go together. */
static void group(void)
{
	static const unsigned long sizes[] = { 40, 1, 100, 500, 16 };
	void *objects[5];
	unsigned char *first = dist_malloc_group(5, sizes, objects);
	CHECK(first == objects[0]);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ((uintptr_t)objects[i] % 16, 0);
		CHECK((unsigned char *)objects[i] + sizes[i] <= first + 1024);
		CHECK(i == 0 || (char *)objects[i] >= (char *)objects[i - 1] + sizes[i - 1]);
		fill(objects[i], sizes[i], i);
	}
	CHECK_EQ((uintptr_t)first >> 12, (uintptr_t)objects[4] >> 12);
	/* The array of pointers is this node's own: its captured copy is shared. */
	unsigned char *members[5];
	for (int i = 0; i < 5; i++)
		members[i] = objects[i];
	void use(int unused)
	{
		for (int i = 0; i < 5; i++)
			verify(members[i], sizes[i], i);
	}
	CHECK(dist_thr_create_on(dist_node_count() - 1, use, 0));
	dist_thr_join_all();
	dist_free(first);
	errno = 0;
	CHECK(!dist_malloc_group(0, sizes, objects) && errno == EINVAL);
}

/* Each kind of policy works; what they do is other tests' business. */
static void policies(void)
{
	static const char *const all[] = { "", "sequential", "weak", "weak migratory", "sequential,migratory",
		"read_only", "weak update", "auto", 0 };
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
	int nodes = dist_node_count();
	for (int i = 0; i < 9; i++) {
		long *object = dist_malloc_policy(64, all[i]);
		CHECK(object != 0);
		void count(int unused)
		{
			for (int k = 0; k < 50; k++) {
				dist_mutex_lock(&mutex);
				object[0]++;
				dist_mutex_unlock(&mutex);
			}
		}
		for (int node = 0; node < nodes; node++)
			CHECK(dist_thr_create_on(node, count, 0));
		dist_thr_join_all();
		CHECK_EQ(object[0], 50 * nodes);
		dist_free(object);
	}
}

/* Larger than one part of the address space; touched here and there. */
static void giant(void)
{
	unsigned long size = 9UL << 30, step = 1UL << 29;
	unsigned char *object = dist_malloc(size);
	CHECK(object != 0);
	void mark(int node)
	{
		for (unsigned long i = node; i < size; i += step)
			object[i] = (unsigned char)(i >> 29) + 1;
	}
	int nodes = dist_node_count();
	for (int node = 0; node < nodes; node++)
		CHECK(dist_thr_create_on(node, mark, node));
	dist_thr_join_all();
	for (int node = 0; node < nodes; node++)
		for (unsigned long i = node; i < size; i += step)
			CHECK_EQ(object[i], (unsigned char)(i >> 29) + 1);
	dist_free(object);
}

int main(void)
{
	sizes();
	list(200);
	tree(200);
	table(300);
	resize();
	group();
	policies();
	giant();
	printf("the heap holds\n");
	return 0;
}

/* kernel_table [THREADS [KEYS [BUCKETS]]]: a hash table with chains, of heap objects.
 *
 * Pattern: small objects of the heap, made by every node, linked by pointers and followed on others; first a table that
 * all change, then one that all read, then one that all take apart. Algorithm: separate chaining, A. Dumey, Indexing for
 * rapid random access memory systems, 1956; a lock for some buckets each.
 *
 * Every thread counts the keys of its share, many of which others count too. What one thread has made another frees.
 *
 * Checked: the serial counts, and that every entry was freed once. */
#include "kernel.h"

enum { LOCKS = 16 };

struct entry {
	struct entry *next;
	unsigned key;
	int count;
};

static unsigned key_of(long index, long count)
{
	unsigned long random = 9 + index;
	return random_bits(&random) % (count / 3 + 1);
}

static unsigned hash(unsigned key, int buckets)
{
	return key * 2654435761u % buckets;
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	long count = argument(argc, argv, 2, 600);
	int buckets = argument(argc, argv, 3, 64);
	struct entry *table[buckets];
	dist_mutex_t locks[LOCKS];
	dist_barrier_t barrier;
	long found[threads], freed[threads];

	struct entry *find(unsigned key)
	{
		struct entry *entry = table[hash(key, buckets)];
		while (entry && entry->key != key)
			entry = entry->next;
		return entry;
	}

	void count_key(unsigned key)
	{
		unsigned bucket = hash(key, buckets);
		dist_mutex_lock(&locks[bucket % LOCKS]);
		struct entry *entry = find(key);
		if (!entry) {
			CHECK(entry = dist_malloc(sizeof *entry));
			*entry = (struct entry) { table[bucket], key, 0 };
			table[bucket] = entry;
		}
		entry->count++;
		dist_mutex_unlock(&locks[bucket % LOCKS]);
	}

	void work(int thread)
	{
		for (long i = share(count, thread, threads); i < share(count, thread + 1, threads); i++)
			count_key(key_of(i, count));
		dist_barrier_wait(&barrier);
		/* Every thread looks up what the others have counted. */
		for (long i = thread; i < count; i += 3) {
			struct entry *entry = find(key_of(i, count));
			CHECK(entry && entry->count > 0);
		}
		dist_barrier_wait(&barrier);
		found[thread] = freed[thread] = 0;
		for (int bucket = thread; bucket < buckets; bucket += threads)
			while (table[bucket]) {
				struct entry *entry = table[bucket];
				table[bucket] = entry->next;
				found[thread] += entry->count * (entry->key + 1L);
				freed[thread]++;
				dist_free(entry);
			}
	}

	CHECK(threads >= 1 && count >= 1 && buckets >= 1);
	memset(table, 0, sizeof table);
	for (int i = 0; i < LOCKS; i++)
		CHECK_EQ(dist_mutex_init(&locks[i], 0), 0);
	dist_barrier_init(&barrier, 0, threads);
	run_threads(threads, work);

	char *is_key = private_bytes(count / 3 + 1);
	long sum = 0, keys = 0;
	for (long i = 0; i < count; i++) {
		unsigned key = key_of(i, count);
		sum += key + 1L;
		keys += !is_key[key];
		is_key[key] = 1;
	}
	for (int thread = 0; thread < threads; thread++) {
		sum -= found[thread];
		keys -= freed[thread];
	}
	CHECK_EQ(sum, 0);
	CHECK_EQ(keys, 0);
	return verified("table", threads);
}

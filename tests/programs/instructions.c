/* instructions ROUNDS: what gcc and glibc make of string functions and loops, at every alignment around the end of a page,
 * on pages that node 0 takes back before each round. */
#define _GNU_SOURCE
#include "check.h"

enum { PAGES = 4, BYTES = PAGES * 4096, REACH = 40 };

static unsigned char byte_of(long i, long round)
{
	unsigned char byte = i * 7 + i / 256 + round * 13;
	return byte ? byte : 1;
}

static void fill(unsigned char *bytes, long round)
{
	for (long i = 0; i < BYTES; i++)
		bytes[i] = byte_of(i, round);
}

static __attribute__((noinline)) long sum(const int *from, long count)
{
	long result = 0;
	for (long i = 0; i < count; i++)
		result += from[i];
	return result;
}

static __attribute__((noinline)) void scale(float *to, const float *from, long count)
{
	for (long i = 0; i < count; i++)
		to[i] = from[i] * 2 + to[i];
}

static __attribute__((noinline)) long gather(const int *from, const int *indices, long count)
{
	long result = 0;
	for (long i = 0; i < count; i++)
		result += from[indices[i]];
	return result;
}

static __attribute__((noinline)) void conditional(int *to, const int *from, long count)
{
	for (long i = 0; i < count; i++)
		if (from[i] & 1)
			to[i] = from[i];
}

static __attribute__((noinline)) void count_up(unsigned char *bytes, long count)
{
	for (long i = 0; i < count; i++)
		bytes[i]++;
}

/* What is done with the two buffers: once with shared ones, once with private ones. */
static long work(unsigned char *to, unsigned char *from, long round)
{
	long shift = round % (2 * REACH), other = round * 11 % (2 * REACH);
	long length = round % 7 ? round * 5 % 300 : 4096 + round % 4000;
	unsigned char *source = from + 4096 - REACH + shift, *target = to + 8192 - REACH + other;
	long result = length;
	static const int indices[16] = { 0, 2000, 1, 3000, 5, 1023, 1024, 1025, 2047, 2048, 0, 0, 3071, 3072, 7, 3500 };
	switch (round / 7 % 16) {
	case 0:
		memcpy(target, source, length);
		break;
	case 1:
		memmove(target + 3, target, length / 2);
		break;
	case 2:
		memset(target, round, length);
		break;
	case 3:
		source[length] = 0;
		result = strlen((char *)source);
		break;
	case 4:
		result = (unsigned char *)memchr(source, source[length / 2], length + 1) - source;
		break;
	case 5:
		result = (unsigned char *)memrchr(source, source[length / 2], length + 1) - source;
		break;
	case 6:
		result = memcmp(target, source, length) < 0;
		break;
	case 7:
		source[length] = 0;
		strcpy((char *)target, (char *)source);
		break;
	case 8:
		result = sum((int *)(from + 4096 - REACH + shift / 4 * 4), length / 4 + 9);
		break;
	case 9:
		for (int i = 0; i < 100; i++)
			((float *)(to + 4096 - 64))[i] = ((float *)(from + 8192 - 96))[i] = i + round % 100;
		scale((float *)(to + 4096 - 64), (float *)(from + 8192 - 96), 100);
		break;
	case 10:
		result = gather((int *)from, indices, 16);
		break;
	case 11:
		conditional((int *)(to + 4096 - 32), (int *)(from + 8192 - 48), 100);
		break;
	case 12:
		count_up(target, length);
		break;
	case 13:
		source[length] = 0;
		result = (unsigned char *)strchr((char *)source, source[length / 2]) - source;
		result += strcmp((char *)source, (char *)from + 4096) < 0;
		break;
	case 14:
		result = *(volatile long *)(from + 4096 - 3) + *(volatile int *)(from + 8192 - 1);
		*(volatile long *)(to + 4096 - 5) = result;
		break;
	case 15:
		result = __atomic_fetch_add((int *)(to + 4096), 5, __ATOMIC_RELAXED);
		result += __sync_val_compare_and_swap((int *)(from + 8192), 0, 1);
		break;
	}
	return result;
}

int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	unsigned char *from = dist_aligned_alloc(4096, BYTES);
	unsigned char *to = dist_aligned_alloc(4096, BYTES);
	dist_barrier_t meeting;
	long result = 0;
	CHECK(argc == 2 && from && to);
	CHECK(dist_barrier_init(&meeting, NULL, 2) == 0);

	void worker(long unused)
	{
		(void)unused;
		for (long round = 0; round < rounds; round++) {
			dist_barrier_wait(&meeting);
			result = work(to, from, round);
			dist_barrier_wait(&meeting);
		}
	}

	CHECK(dist_thr_create_on(1 % dist_node_count(), worker, 0L));
	unsigned char *from_here = malloc(BYTES), *to_here = malloc(BYTES);
	for (long round = 0; round < rounds; round++) {
		fill(from, round);
		fill(to, round + 1);
		dist_barrier_wait(&meeting);
		fill(from_here, round);
		fill(to_here, round + 1);
		long expected = work(to_here, from_here, round);
		dist_barrier_wait(&meeting);
		CHECK_EQ(result, expected);
		for (long i = 0; i < BYTES; i++) {
			if (from[i] != from_here[i] || to[i] != to_here[i]) {
				fprintf(stderr, "round %ld, byte %ld: %d, %d and not %d, %d\n", round, i, from[i], to[i], from_here[i],
					to_here[i]);
				exit(1);
			}
		}
	}
	dist_thr_join_all();
	printf("%ld rounds\n", rounds);
	return 0;
}

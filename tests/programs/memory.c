/* memory: objects of all sizes and shapes keep their values between nodes, and a new object never shows
 * what another node kept of an old one at the same address. */
#include <stdint.h>
#include "check.h"

struct mixed {
	char c;
	double d;
	short s[3];
	struct { long l; char t; } inner;
};

union either {
	long l;
	char bytes[8];
	float f;
};

#define SIZES(X) X(1) X(2) X(3) X(7) X(8) X(15) X(63) X(64) X(65) X(100) X(2048) X(2049) X(4095) X(4096) X(4097) \
	X(8192) X(65536) X(1000001)

static void sizes(void)
{
	int nodes = dist_node_count();
#define OBJECT(bytes) unsigned char object_##bytes[bytes];
	SIZES(OBJECT)
	void fill(int seed)
	{
#define FILL(bytes) for (long i = 0; i < bytes; i++) object_##bytes[i] = i * 7 + seed + bytes;
		SIZES(FILL)
	}
	void check(int seed)
	{
#define VERIFY(bytes) for (long i = 0; i < bytes; i++) CHECK_EQ(object_##bytes[i], (unsigned char)(i * 7 + seed + bytes));
		SIZES(VERIFY)
	}
	for (int round = 0; round < nodes + 2; round++) {
		CHECK_EQ(dist_thr_join(dist_thr_create_on(round % nodes, fill, round)), 0);
		for (int reader = 0; reader < nodes; reader++)
			CHECK(dist_thr_create_on(reader, check, round));
		dist_thr_join_all();
		check(round);
	}
}

static void shapes(int length)
{
	int nodes = dist_node_count();
	struct mixed mixed = { 1, 2.5, { 3, 4, 5 }, { 6, 7 } };
	union either either = { .l = 0 };
	_Alignas(64) char line[100];
	_Alignas(4096) char page[10];
	__int128 wide = (__int128)1 << 100;
	long double extended = 1.25L;
	_Complex double complex_number = 1.0;
	char variable[length], two[length][3];
	short parameter_copy = (short)length;
	void change(int unused)
	{
		CHECK_EQ(mixed.inner.t, 7);
		mixed.d *= 2;
		mixed.s[1] = -4;
		either.bytes[0] = 0x55;
		CHECK_EQ((uintptr_t)line % 64, 0);
		CHECK_EQ((uintptr_t)page % 4096, 0);
		line[99] = 9;
		page[9] = 10;
		wide += 1;
		extended *= 2;
		complex_number += 2.0;
		CHECK_EQ(sizeof variable, length);
		CHECK_EQ(sizeof two, length * 3);
		for (int i = 0; i < length; i++) {
			variable[i] = i;
			two[i][2] = -i;
		}
		parameter_copy++;
		length += 1000;
	}
	CHECK_EQ(dist_thr_join(dist_thr_create_on(nodes - 1, change, 0)), 0);
	CHECK(mixed.d == 5.0 && mixed.s[1] == -4 && mixed.c == 1 && mixed.inner.l == 6);
	CHECK_EQ(either.l, 0x55);
	CHECK_EQ(line[99] + page[9], 19);
	CHECK(wide == ((__int128)1 << 100) + 1);
	CHECK(extended == 2.5L && complex_number == 3.0);
	length -= 1000;
	for (int i = 0; i < length; i++) {
		CHECK_EQ(variable[i], (char)i);
		CHECK_EQ(two[i][2], (char)-i);
	}
	CHECK_EQ(parameter_copy, length + 1);
}

/* Frames several hundred deep, each with shared locals that a remote thread changes and all survive. */
static long descend(int depth)
{
	int nodes = dist_node_count();
	long mine = depth, table[20];
	char text[70];
	memset(table, 0, sizeof table);
	snprintf(text, sizeof text, "level %d", depth);
	void touch(int amount)
	{
		char expected[70];
		snprintf(expected, sizeof expected, "level %d", depth);
		CHECK(strcmp(text, expected) == 0);
		mine += amount;
		table[depth % 20] = amount;
	}
	if (depth % 8 == 0)
		CHECK_EQ(dist_thr_join(dist_thr_create_on(depth / 8 % nodes, touch, 1000)), 0);
	else
		touch(1000);
	long below = depth ? descend(depth - 1) : 0;
	CHECK_EQ(mine, depth + 1000);
	CHECK_EQ(table[depth % 20], 1000);
	return below + mine;
}

/* Called often: the local always lies at the same address, and another node changed it every time. */
static long once(int node, long value)
{
	long local = value;
	char large[200];
	large[0] = (char)value;
	large[199] = (char)(value + 1);
	void change(int unused)
	{
		CHECK_EQ(local, value);
		CHECK_EQ(large[0], (char)value);
		CHECK_EQ(large[199], (char)(value + 1));
		local += 1;
		large[0] += 2;
		large[199] += 3;
	}
	CHECK(dist_thr_create_on(node, change, 0));
	dist_thr_join_all();
	CHECK_EQ(large[0], (char)(value + 2));
	CHECK_EQ(large[199], (char)(value + 4));
	return local;
}

/* Sizes change from call to call at the same place. */
static void reshaped(int node, int length, long value)
{
	long array[length];
	for (int i = 0; i < length; i++)
		array[i] = value + i;
	void change(int unused)
	{
		for (int i = 0; i < length; i++) {
			CHECK_EQ(array[i], value + i);
			array[i] = -array[i];
		}
	}
	CHECK(dist_thr_create_on(node, change, 0));
	dist_thr_join_all();
	for (int i = 0; i < length; i++)
		CHECK_EQ(array[i], -value - i);
}

static void reuse(int calls)
{
	int nodes = dist_node_count();
	for (int i = 0; i < calls; i++)
		CHECK_EQ(once((i / 2 + 1) % nodes, i), i + 1);
	for (int i = 0; i < calls / 10; i++)
		reshaped((i / 2 + 1) % nodes, 9 + i * 37 % 1500, i);
}

/* A pointer handed over after the thread was created; it goes with its scope, unlike the thread. */
static void handed_over(void)
{
	int nodes = dist_node_count();
	enum { ROUNDS = 200 };
	long *_Atomic box = 0;
	_Atomic int answers = 0;
	_Atomic int length = 0;
	void server(int unused)
	{
		for (int round = 1; round <= ROUNDS; round++) {
			while (answers != round * 2 - 1)
				usleep(10);
			long *object = box;
			for (int i = 0; i < length; i++)
				object[i] = round * 10000 + i;
			answers++;
		}
	}
	/* Never run as a thread: its locals are known to others by address only. */
	void client(int round, int count)
	{
		long object[count];
		void keep(int unused) { object[0] = 0; }
		if (round < 0)
			dist_thr_create(keep, 0);
		length = count;
		box = object;
		answers++;
		while (answers != round * 2)
			usleep(10);
		for (int i = 0; i < count; i++)
			CHECK_EQ(object[i], round * 10000 + i);
	}
	CHECK(dist_thr_create_on(nodes - 1, server, 0));
	for (int round = 1; round <= ROUNDS; round++)
		client(round, round % 2 ? 10 : 500);
	dist_thr_join_all();
}

/* Thousands of small objects, each used by another node. */
static void many(void)
{
	int nodes = dist_node_count();
	enum { OBJECTS = 1500 };
	long sum = 0;
	void add(int level)
	{
		long value = level;
		void touch(int amount)
		{
			value += amount;
			__atomic_fetch_add(&sum, value, __ATOMIC_SEQ_CST);
		}
		CHECK(dist_thr_create_on(level % nodes, touch, 1));
		if (level)
			add(level - 1);
	}
	/* One thread lives at each of 60 levels at a time; 25 times. */
	for (int i = 0; i < OBJECTS / 60; i++)
		add(59);
	CHECK_EQ(sum, OBJECTS / 60 * (60 * 61 / 2));
}

/* The largest: a gigabyte, touched here and there. */
static void giant(void)
{
	int nodes = dist_node_count();
	enum { STEP = 40 << 20 };
	unsigned char giga[1 << 30];
	void mark(int value)
	{
		for (long i = value; i < 1 << 30; i += STEP)
			giga[i] = value + 1;
		giga[(1 << 30) - 1 - value] = value + 1;
	}
	for (int node = 0; node < nodes; node++)
		CHECK(dist_thr_create_on(node, mark, node));
	dist_thr_join_all();
	for (int node = 0; node < nodes; node++) {
		for (long i = node; i < 1 << 30; i += STEP)
			CHECK_EQ(giga[i], node + 1);
		CHECK_EQ(giga[(1 << 30) - 1 - node], node + 1);
	}
}

int main(int argc, char **argv)
{
	sizes();
	shapes(1);
	shapes(37);
	shapes(5000);
	CHECK_EQ(descend(300), 300 * 301 / 2 + 301 * 1000);
	many();
	handed_over();
	giant();
	reuse(argc > 1 ? atoi(argv[1]) : 100);
	printf("values survive\n");
	return 0;
}

/* limits WHAT: drives the runtime into one of its limits. */
#include "check.h"

static long grow(long depth)
{
	long mine = depth;
	void touch(long amount) { mine += amount; }
	if (depth < 0)
		dist_thr_create(touch, 1);
	long below = grow(depth + 1);
	return below + mine;
}

static long grow_large(long depth)
{
	long mine[1 << 20];
	void touch(long amount) { mine[amount] += amount; }
	if (depth < 0)
		dist_thr_create(touch, 1);
	mine[5] = depth;
	long below = grow_large(depth + 1);
	return below + mine[5];
}

static void huge(unsigned long bytes)
{
	char array[bytes];
	void touch(long place) { array[place] = 1; }
	CHECK(dist_thr_create(touch, 5));
	dist_thr_join_all();
	CHECK_EQ(array[5], 1);
}

/* More threads than a node has shadow stacks: creation fails with EAGAIN, and works again later. */
static void threads(void)
{
	int nodes = dist_node_count();
	int count = 0, release = 0;
	long started = 0;
	void stay(int unused)
	{
		__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&release, __ATOMIC_SEQ_CST))
			usleep(20000);
	}
	errno = 0;
	while (count < 100000 && dist_thr_create_on(nodes - 1, stay, 0))
		count++;
	CHECK_EQ(errno, EAGAIN);
	release = 1;
	dist_thr_join_all();
	CHECK_EQ(started, count);
	CHECK(dist_thr_create_on(nodes - 1, stay, 0));
	dist_thr_join_all();
	printf("%d threads\n", count);
}

/* The same with threads of the program's own making: these can't be refused. */
static void foreign(void)
{
	int nodes = dist_node_count();
	int value = 0;
	void host(int unused)
	{
		void *body(void *argument)
		{
			long mine = value;
			void touch(long amount) { mine += amount; }
			if (mine)
				dist_thr_create(touch, 1);
			dist_thr_self();
			for (;;)
				pause();
			return argument;
		}
		pthread_attr_t small;
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 64 * 1024);
		for (int i = 0; i < 100000; i++) {
			pthread_t thread;
			if (pthread_create(&thread, &small, body, 0))
				break;
		}
		for (;;)
			pause();
	}
	dist_thr_create_on(nodes - 1, host, 0);
	dist_thr_join_all();
}

/* A pointer into the window where nothing is. */
static void stray(unsigned long address, int node, int write)
{
	long value = 0;
	void use(int unused)
	{
		value = 1;
		if (write)
			*(volatile char *)address = 1;
		else
			(void)*(volatile char *)address;
	}
	dist_thr_create_on(node, use, 0);
	dist_thr_join_all();
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	if (strcmp(argv[1], "small") == 0)
		return grow(0) & 1;
	if (strcmp(argv[1], "large") == 0)
		return grow_large(0) & 1;
	if (strcmp(argv[1], "huge") == 0)
		huge(strtoul(argv[2], 0, 0));
	if (strcmp(argv[1], "threads") == 0)
		threads();
	if (strcmp(argv[1], "foreign") == 0)
		foreign();
	if (strcmp(argv[1], "stray") == 0)
		stray(strtoul(argv[2], 0, 0), atoi(argv[3]), atoi(argv[4]));
	printf("not refused\n");
	return 0;
}

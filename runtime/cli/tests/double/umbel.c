/* Test double of libumbel: the launcher's contract and nothing else.
 *
 * A constructor greets the launcher on every node.  On rank 0 main runs, beside a thread that answers
 * the launcher; on the others `node(rank, argv)` runs in a thread and the launcher is answered here.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READY = 0x80, EXIT, FATAL, LOST, THREADS, SHUTDOWN, STATS, EVENTS };

int rank, size, control, links[64];
static char **arguments;
extern void node(int rank, char **argv);

static void whole(int fd, const void *data, size_t bytes)
{
	for (const char *p = data; bytes;) {
		ssize_t n = write(fd, p, bytes);
		if (n < 0)
			_exit(90);
		p += n;
		bytes -= n;
	}
}

static void say(int kind, const void *body, uint32_t bytes)
{
	unsigned char message[8 + 4096] = { 0 };
	memcpy(message, &bytes, 4);
	message[4] = kind;
	message[5] = 1;
	memcpy(message + 8, body, bytes);
	whole(control, message, 8 + bytes);
}

void fatal(const char *text)
{
	say(FATAL, text, strlen(text));
	_exit(1);
}

static unsigned char events[4096];
static int event_bytes, lost;

static void put(uint64_t value, int bytes)
{
	memcpy(events + event_bytes, &value, bytes);
	event_bytes += bytes;
}

static void begin_event(int what)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	put(t.tv_sec * 1000000000ull + t.tv_nsec, 8);
	put(what, 1);
}

static void put_name(const char *name)
{
	put(strlen(name), 1);
	memcpy(events + event_bytes, name, strlen(name));
	event_bytes += strlen(name);
}

static void message(int what, int peer, int sequence)
{
	begin_event(what), put(peer, 2), put(0x10, 1), put(99, 8), put(17, 4), put(sequence, 8);
}

/* What a node records: a thread with a fault and a wait, a message to the next node; `count` events that it
 * had no room for. */
void record(int count)
{
	if (!getenv("UMBEL_TIMELINE"))
		return;
	event_bytes = 0;
	put(lost = count, 8);
	begin_event(0), put(1000 + rank, 4), put(0, 8), put_name("messages");
	begin_event(0), put(100 + rank, 4), put(rank + 1, 8), put_name(rank ? "work(\"<b>\")" : "main");
	begin_event(8), put(99, 8), put(1200, 8), put_name("main:a<b>");
	begin_event(2), put(100 + rank, 4), put(99, 8), put(1, 1);
	message(6, (rank + 1) % size, 0);
	begin_event(3), put(99, 8);
	begin_event(4), put(100 + rank, 4), put(3, 1), put(77, 8);
	say(EVENTS, events, event_bytes);
}

/* The rest: the message from the previous node, the thread's end. */
static void record_end(void)
{
	if (!event_bytes)
		return;
	event_bytes = 0;
	put(lost, 8);
	message(7, (rank + size - 1) % size, 0);
	begin_event(5), put(100 + rank, 4);
	begin_event(1), put(100 + rank, 4);
	say(EVENTS, events, event_bytes);
}

/* Sockets besides the links and the control socket would be another node's: its peers would not see
 * it end.  Files and pipes may be the caller's own. */
static void check_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		char target[64] = "";
		if (atoi(entry->d_name) > 2 && readlinkat(dirfd(folder), entry->d_name, target, 63) > 0)
			count += !strncmp(target, "socket:", 7);
	}
	closedir(folder);
	if (count != size - 1 + 1)
		fatal("sockets of other nodes leaked into this one");
}

static int next_message(unsigned char *body)
{
	unsigned char header[8];
	if (read(control, header, 8) != 8) {
		/* The launcher is gone.  A deaf node doesn't even notice that: the kernel has to end it. */
		if (arguments[1] && !strcmp(arguments[1], "deaf"))
			for (;;)
				pause();
		_exit(91);
	}
	uint32_t bytes;
	memcpy(&bytes, header, 4);
	if (bytes && read(control, body, bytes) != bytes)
		_exit(92);
	return header[4];
}

static void leave(int status)
{
	record_end();
	if (getenv("UMBEL_STATS")) {
		char json[512];
		int bytes = snprintf(json, sizeof json,
			"{\"rank\":%d,\"threads\":1,\"read_faults\":2,\"write_faults\":5,\"messages_sent\":%d,\"batches_sent\":1,\"bytes_sent\":2048,"
			"\"messages_received\":3,\"objects\":[{\"name\":\"main:a\",\"size\":1200,\"home\":0,"
			"\"read_faults\":1,\"write_faults\":2,\"invalidations\":3,\"bytes\":4096}]}", rank, 10 * rank);
		say(STATS, json, bytes);
	}
	_exit(status);
}

static volatile int exit_status = -1;

static void *answer(void *unused)
{
	for (;;) {
		unsigned char body[4096];
		switch (next_message(body)) {
		case LOST: {
			char text[64], message[128];
			int line = snprintf(text, sizeof text, "example(%d), created on node %d", body[0], rank);
			uint16_t one = 1, bytes = line;
			memcpy(message, &one, 2);
			memcpy(message + 2, &bytes, 2);
			memcpy(message + 4, text, line);
			say(THREADS, message, 4 + line);
			break;
		}
		case SHUTDOWN:
			if (arguments[1] && !strcmp(arguments[1], "linger") && rank == 1)
				for (;;)
					pause();
			leave(rank == 0 ? exit_status : 0);
		}
	}
	return 0;
}

static void *run_node(void *unused)
{
	node(rank, arguments);
	return 0;
}

static void on_exit_of_main(int status, void *unused)
{
	uint32_t value = status & 255;
	fflush(0);
	exit_status = value;
	say(EXIT, &value, 4);
	for (;;)
		pause(); /* answer() ends the process */
}

__attribute__((constructor)) static void start(int argc, char **argv, char **envp)
{
	arguments = argv;
	rank = atoi(getenv("UMBEL_RANK"));
	size = atoi(getenv("UMBEL_SIZE"));
	control = atoi(getenv("UMBEL_CONTROL"));
	char *list = strdup(getenv("UMBEL_LINKS"));
	for (int peer = 0; peer < size; peer++) {
		char *number = strsep(&list, ",");
		links[peer] = peer == rank ? -strcmp(number, "-") : atoi(number);
	}
	if (list || links[rank] || strspn(getenv("UMBEL_JOB"), "0123456789abcdef") != 32)
		fatal("UMBEL_LINKS or UMBEL_JOB is wrong");
	check_descriptors();
	if (argc > 2 && !strcmp(argv[1], "mute") && rank == atoi(argv[2]))
		for (;;)
			pause();
	uint16_t own = rank;
	say(READY, &own, 2);
	pthread_t thread;
	if (rank == 0) {
		pthread_create(&thread, 0, answer, 0);
		on_exit(on_exit_of_main, 0);
	} else {
		pthread_create(&thread, 0, run_node, 0);
		answer(0);
	}
}

/* Program of the launcher's tests: argv[1] says what its nodes do. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern int rank, size, control, links[];
extern void fatal(const char *text);
extern void record(int lost);

static void text(const char *s)
{
	if (write(1, s, strlen(s)) < 0)
		_exit(93);
}

static void introduce(void)
{
	char line[64];
	snprintf(line, sizeof line, "pid %d %d\n", rank, getpid());
	text(line);
}

static void done(void)
{
	if (write(links[0], "", 1) != 1)
		_exit(94);
}

static void all_done(void)
{
	char byte;
	for (int peer = 1; peer < size; peer++)
		if (read(links[peer], &byte, 1) != 1)
			_exit(95);
}

/* Lines in odd pieces, some of them longer than a pipe takes at once. */
static void lines(int count)
{
	static char line[200000];
	for (int i = 0; i < count; i++) {
		int start = sprintf(line, "node %d line %d ", rank, i);
		int fill = i % 1000 == 999 ? 50000 : i % 70;
		memset(line + start, 'a' + rank, fill);
		line[start + fill] = '\n';
		int bytes = start + fill + 1, cut = (i * 7) % bytes;
		for (int from = 0; from < bytes;) {
			int to = from < cut ? cut : bytes;
			int n = write(1, line + from, to - from);
			if (n < 0)
				_exit(96);
			from += n;
		}
	}
}

static void forever(void)
{
	for (;;)
		pause();
}

static void quit(int signal)
{
	_exit(7);
}

/* What every node does, main included.  `who` is the node that argv[2] names. */
static void scenario(char **argv)
{
	const char *what = argv[1];
	int who = argv[2] ? atoi(argv[2]) : -1, number = argv[2] && argv[3] ? atoi(argv[3]) : 0;
	if (!strcmp(what, "lines")) {
		lines(who);
	} else if (!strcmp(what, "cat")) {
		char buffer[4096], report[64];
		ssize_t n, sum = 0;
		while ((n = read(0, buffer, sizeof buffer)) > 0) {
			sum += n;
			if (rank == 0)
				fwrite(buffer, 1, n, stdout);
		}
		snprintf(report, sizeof report, "node %d read %zd bytes\n", rank, sum);
		fflush(stdout);
		text(report);
	} else if (!strcmp(what, "signal") && rank == who) {
		introduce();
		signal(number, SIG_DFL);
		kill(getpid(), number);
	} else if (!strcmp(what, "signal") || !strcmp(what, "wait")) {
		introduce();
		forever();
	} else if (!strcmp(what, "quit")) {
		if (rank == who)
			_exit(number);
		forever();
	} else if (!strcmp(what, "fatal")) {
		if (rank == who)
			fatal("the window is full");
		forever();
	} else if (!strcmp(what, "cascade")) {
		struct pollfd peer = { links[who], 0 };
		introduce();
		if (rank == who)
			forever();
		poll(&peer, 1, -1); /* until it hangs up */
		fatal("a link broke");
	} else if (!strcmp(what, "deaf") || !strcmp(what, "catch")) {
		for (int s = 1; s < 16; s++)
			if (s == SIGHUP || s == SIGINT || s == SIGTERM)
				signal(s, *what == 'd' ? SIG_IGN : quit);
		introduce();
		forever();
	} else if (!strcmp(what, "record")) {
		record(who); /* lost so many */
	} else if (!strcmp(what, "record-and-wait")) {
		record(0);
		introduce();
		forever();
	} else if (!strcmp(what, "record-and-die")) {
		record(0);
		if (rank == who) {
			usleep(500000);
			kill(getpid(), SIGKILL);
		}
		forever();
	} else if (!strcmp(what, "variables")) {
		const char *name;
		for (const char *const *v = (const char *const[]){ "UMBEL_CACHE_BYTES", "UMBEL_CONSISTENCY",
			"UMBEL_PROTOCOL", "UMBEL_TIMELINE", "UMBEL_STATS", 0 }; rank == 0 && (name = *v); v++)
			printf("%s=%s\n", name, getenv(name) ? getenv(name) : "-");
	} else if (!strcmp(what, "close")) {
		if (rank == who)
			shutdown(control, SHUT_WR);
		forever();
	} else if (!strcmp(what, "noise")) {
		char junk[16] = "what is this?\n";
		if (rank == who && write(control, junk, 16) != 16)
			_exit(97);
		forever();
	} else if (!strcmp(what, "mute")) {
		forever();
	} else if (!strcmp(what, "flood")) {
		introduce();
		for (;;)
			lines(1000);
	} else if (!strcmp(what, "prompt")) {
		if (rank == 0) {
			char name[100];
			text("name? ");
			ssize_t n = read(0, name, sizeof name - 1);
			name[n > 0 ? n : 0] = 0;
			text("hello ");
			text(name);
		}
	} else if (!strcmp(what, "half")) {
		text(rank == 0 ? "half of a line" : "");
	}
}

void node(int rank, char **argv)
{
	scenario(argv);
	done();
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "arguments")) {
		for (int i = 0; i < argc; i++)
			printf("%s\n", argv[i]);
		return 0;
	}
	scenario(argv);
	all_done();
	return !strcmp(argv[1], "exit") || !strcmp(argv[1], "linger") ? atoi(argv[2]) : 0;
}

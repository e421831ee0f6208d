/* calls: which system calls work on shared objects that are absent, or here as read-only copies, through the C library
 * and as bare instructions.  Prints `call absent|read-only library|bare result` a line: ok, short, or the error. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 512, DATA = 64, VECTOR = 128, AT = 192 };

/* A system call that no wrapper sees: the result, or -1 with errno set. */
static long bare(long number, long a, long b, long c, long d, long e, long f)
{
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	register long sixth __asm__("r9") = f;
	long result;
	__asm__ volatile ("syscall" : "=a" (result)
	                  : "a" (number), "D" (a), "S" (b), "d" (c), "r" (fourth), "r" (fifth), "r" (sixth)
	                  : "rcx", "r11", "memory");
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}

#define BARE(number, a, b, c, d) bare(number, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static int ends[2], sockets[2];

/* A pipe and a socket pair, with `count` bytes in each. */
static void open_all(int count)
{
	static const char bytes[DATA];
	if (pipe(ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0
	    || (count && (write(ends[1], bytes, count) != count || write(sockets[1], bytes, count) != count))) {
		perror("cannot prepare");
		exit(1);
	}
}

static void close_all(void)
{
	close(ends[0]);
	close(ends[1]);
	close(sockets[0]);
	close(sockets[1]);
}

struct test {
	const char *name;
	long expected;
	/* What the object holds. */
	void (*fill)(char *object);
	long (*call)(char *object, int is_bare);
};

static void nothing(char *object) { (void)object; }
static void vector(char *object)
{
	struct iovec *one = (struct iovec *)(object + VECTOR);
	one->iov_base = object;
	one->iov_len = DATA;
}
static void message(char *object)
{
	struct msghdr *header = (struct msghdr *)(object + AT);
	vector(object);
	memset(header, 0, sizeof *header);
	header->msg_iov = (struct iovec *)(object + VECTOR);
	header->msg_iovlen = 1;
}
static void path(char *object) { strcpy(object, "/dev/null"); }
static void polled(char *object)
{
	struct pollfd *one = (struct pollfd *)object;
	one->fd = 1;
	one->events = POLLOUT;
}
static void word(char *object) { *(int *)object = 1; }
static void moment(char *object)
{
	((struct timespec *)object)->tv_sec = 0;
	((struct timespec *)object)->tv_nsec = 1;
}

static long do_read(char *o, int b) { return b ? BARE(SYS_read, ends[0], o, DATA, 0) : read(ends[0], o, DATA); }
static long do_write(char *o, int b) { return b ? BARE(SYS_write, ends[1], o, DATA, 0) : write(ends[1], o, DATA); }
static long do_readv(char *o, int b)
{
	return b ? BARE(SYS_readv, ends[0], o + VECTOR, 1, 0) : readv(ends[0], (struct iovec *)(o + VECTOR), 1);
}
static long do_writev(char *o, int b)
{
	return b ? BARE(SYS_writev, ends[1], o + VECTOR, 1, 0) : writev(ends[1], (struct iovec *)(o + VECTOR), 1);
}
static long do_recv(char *o, int b) { return b ? BARE(SYS_recvfrom, sockets[0], o, DATA, 0) : recv(sockets[0], o, DATA, 0); }
static long do_send(char *o, int b) { return b ? BARE(SYS_sendto, sockets[1], o, DATA, 0) : send(sockets[1], o, DATA, 0); }
static long do_recvmsg(char *o, int b)
{
	return b ? BARE(SYS_recvmsg, sockets[0], o + AT, 0, 0) : recvmsg(sockets[0], (struct msghdr *)(o + AT), 0);
}
static long do_sendmsg(char *o, int b)
{
	return b ? BARE(SYS_sendmsg, sockets[1], o + AT, 0, 0) : sendmsg(sockets[1], (struct msghdr *)(o + AT), 0);
}
static long do_stat(char *o, int b)
{
	return b ? BARE(SYS_newfstatat, AT_FDCWD, "/", o, 0) : stat("/", (struct stat *)o);
}
static long do_open(char *o, int b)
{
	long file = b ? BARE(SYS_openat, AT_FDCWD, o, O_RDONLY, 0) : open(o, O_RDONLY);
	if (file >= 0)
		close(file);
	return file < 0 ? -1 : 0;
}
static long do_poll(char *o, int b) { return b ? BARE(SYS_poll, o, 1, 1000, 0) : poll((struct pollfd *)o, 1, 1000); }
static long do_getrandom(char *o, int b) { return b ? BARE(SYS_getrandom, o, DATA, 0, 0) : getrandom(o, DATA, 0); }
static long do_futex(char *o, int b)
{
	/* The word is 1: there is nothing to wait for, once the kernel has read it. */
	long result = b ? BARE(SYS_futex, o, FUTEX_WAIT, 2, 0) : syscall(SYS_futex, o, FUTEX_WAIT, 2, 0);
	return result < 0 && errno == EAGAIN ? 0 : result;
}
static long do_nanosleep(char *o, int b) { return b ? BARE(SYS_nanosleep, o, 0, 0, 0) : nanosleep((void *)o, 0); }
static long do_clock(char *o, int b)
{
	return b ? BARE(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, o, 0, 0) : clock_gettime(CLOCK_PROCESS_CPUTIME_ID, (void *)o);
}
static long do_ioctl(char *o, int b) { return b ? BARE(SYS_ioctl, ends[0], FIONREAD, o, 0) : ioctl(ends[0], FIONREAD, o); }
static long do_pipe(char *o, int b)
{
	long result = b ? BARE(SYS_pipe2, o, 0, 0, 0) : pipe((int *)o);
	if (result == 0) {
		close(((int *)o)[0]);
		close(((int *)o)[1]);
	}
	return result;
}
static long do_uname(char *o, int b) { return b ? BARE(SYS_uname, o, 0, 0, 0) : uname((struct utsname *)o); }
static long do_getcwd(char *o, int b)
{
	long result = b ? BARE(SYS_getcwd, o, BYTES, 0, 0) : getcwd(o, BYTES) ? 1 : -1;
	return result > 0 ? 0 : -1;
}

static const struct test tests[] = {
	{ "read", DATA, nothing, do_read },
	{ "write", DATA, nothing, do_write },
	{ "readv", DATA, vector, do_readv },
	{ "writev", DATA, vector, do_writev },
	{ "recv", DATA, nothing, do_recv },
	{ "send", DATA, nothing, do_send },
	{ "recvmsg", DATA, message, do_recvmsg },
	{ "sendmsg", DATA, message, do_sendmsg },
	{ "stat", 0, nothing, do_stat },
	{ "open", 0, path, do_open },
	{ "poll", 1, polled, do_poll },
	{ "getrandom", DATA, nothing, do_getrandom },
	{ "futex", 0, word, do_futex },
	{ "nanosleep", 0, moment, do_nanosleep },
	{ "clock_gettime", 0, nothing, do_clock },
	{ "ioctl", 0, nothing, do_ioctl },
	{ "pipe", 0, nothing, do_pipe },
	{ "uname", 0, nothing, do_uname },
	{ "getcwd", 0, nothing, do_getcwd },
};

enum { TESTS = sizeof tests / sizeof *tests, STRIDE = 29 };

_Static_assert(4 * TESTS % STRIDE, "every object comes up once");

int main(void)
{
	char *objects[4 * TESTS];
	if (dist_node_count() != 2)
		return 1;

	void try_all(void)
	{
		volatile char sink;
		for (int i = 0; i < 4 * TESTS; i++) {
			/* Out of order: neighbours in turn would be fetched ahead. */
			int number = i * STRIDE % (4 * TESTS);
			const struct test *test = &tests[number / 4];
			int is_here = number / 2 % 2, is_bare = number % 2;
			char *object = objects[number];
			if (is_here)
				sink = object[0];
			open_all(DATA);
			errno = 0;
			long result = test->call(object, is_bare);
			const char *what = "ok";
			if (result < 0)
				what = strerrorname_np(errno);
			else if (result != test->expected)
				what = "short";
			printf("%s %s %s %s\n", test->name, is_here ? "read-only" : "absent",
			       is_bare ? "bare" : "library", what ? what : "?");
			close_all();
		}
		(void)sink;
	}

	for (int number = 0; number < 4 * TESTS; number++) {
		objects[number] = dist_malloc_policy(BYTES, "invalidate");
		memset(objects[number], 0, BYTES);
		tests[number / 4].fill(objects[number]);
	}
	dist_thr_join(dist_thr_create_on(1, try_all, 0));
	return 0;
}

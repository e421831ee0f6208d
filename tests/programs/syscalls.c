/* syscalls: system calls whose buffers lie on another node, or here as read-only copies; one page and many. */
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include "check.h"

enum { LARGE = 5 * 4096 + 123 };

static void put_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t done = write(fd, bytes, count);
		CHECK(done > 0);
		bytes += done;
		count -= done;
	}
}

static void get_all(int fd, char *bytes, size_t count)
{
	while (count) {
		ssize_t done = read(fd, bytes, count);
		CHECK(done > 0);
		bytes += done;
		count -= done;
	}
}

static char byte_of(size_t i, int seed)
{
	return (char)(i * 31 + i / 4096 + seed);
}

int main(void)
{
	int here = 0;
	char small[40];
	char large[LARGE];
	char path[] = "/proc/self/comm";
	struct iovec vector[2];
	struct msghdr header;
	struct stat status;
	struct timespec time;
	int word;
	int pair[2];

	/* On node 1, where nothing of the above is, or only read-only: `readable` says which. */
	void from_absent(long readable)
	{
		volatile char sink;
		int out[2], socks[2];
		char *check = malloc(LARGE);
		CHECK_EQ(dist_thr_node(), 1);
		CHECK(pipe(out) == 0);
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0);
		if (readable) {
			sink = small[0];
			for (size_t i = 0; i < LARGE; i += 4096)
				sink = large[i];
			sink = large[LARGE - 1];
		}
		(void)sink;

		/* The kernel reads from the objects. */
		put_all(out[1], small, sizeof small);
		get_all(out[0], check, sizeof small);
		for (size_t i = 0; i < sizeof small; i++)
			CHECK_EQ(check[i], byte_of(i, 1));
		CHECK_EQ(write(out[1], large, LARGE), LARGE);
		get_all(out[0], check, LARGE);
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(check[i], byte_of(i, 2));

		/* The kernel writes into them. */
		for (size_t i = 0; i < LARGE; i++)
			check[i] = byte_of(i, 3);
		put_all(out[1], check, LARGE);
		CHECK_EQ(read(out[0], large, LARGE), LARGE);
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(large[i], byte_of(i, 3));
		put_all(out[1], check, sizeof small);
		CHECK_EQ(read(out[0], small, sizeof small), sizeof small);
		for (size_t i = 0; i < sizeof small; i++)
			CHECK_EQ(small[i], byte_of(i, 3));
		close(out[0]);
		close(out[1]);
		close(socks[0]);
		close(socks[1]);
		free(check);
	}

	/* Everything in shared memory: the message header, the vector, the buffers, the path, the results. */
	void messages(long unused)
	{
		int socks[2], out[2];
		CHECK(pipe(out) == 0);
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0);
		int room = 1 << 20;
		setsockopt(socks[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
		CHECK_EQ(sendmsg(socks[0], &header, 0), sizeof small + LARGE);
		char *check = malloc(LARGE + sizeof small);
		get_all(socks[1], check, sizeof small + LARGE);
		for (size_t i = 0; i < sizeof small; i++)
			CHECK_EQ(check[i], byte_of(i, 4));
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(check[sizeof small + i], byte_of(i, 5));
		for (size_t i = 0; i < sizeof small + LARGE; i++)
			check[i] = byte_of(i, 6);
		put_all(socks[0], check, sizeof small + LARGE);
		ssize_t got = 0;
		while (got < (ssize_t)sizeof small + LARGE) {
			struct iovec left[2] = { vector[0], vector[1] };
			struct msghdr rest = { .msg_iov = left, .msg_iovlen = 2 };
			int first = got >= (ssize_t)sizeof small;
			size_t skip = first ? got - sizeof small : got;
			left[first].iov_base = (char *)left[first].iov_base + skip;
			left[first].iov_len -= skip;
			rest.msg_iov += first;
			rest.msg_iovlen -= first;
			ssize_t part = recvmsg(socks[1], &rest, 0);
			CHECK(part > 0);
			got += part;
		}
		for (size_t i = 0; i < sizeof small; i++)
			CHECK_EQ(small[i], byte_of(i, 6));
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(large[i], byte_of(sizeof small + i, 6));
		free(check);
		close(out[0]);
		close(out[1]);
		close(socks[0]);
		close(socks[1]);
	}

	void vectors(long unused)
	{
		int out[2];
		char *check = malloc(LARGE + sizeof small);
		CHECK(pipe(out) == 0);
		CHECK_EQ(writev(out[1], vector, 2), sizeof small + LARGE);
		get_all(out[0], check, sizeof small + LARGE);
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(check[sizeof small + i], byte_of(i, 5));
		for (size_t i = 0; i < sizeof small + LARGE; i++)
			check[i] = byte_of(i, 7);
		put_all(out[1], check, sizeof small + LARGE);
		CHECK_EQ(readv(out[0], vector, 2), sizeof small + LARGE);
		for (size_t i = 0; i < sizeof small; i++)
			CHECK_EQ(small[i], byte_of(i, 7));
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(large[i], byte_of(sizeof small + i, 7));
		free(check);
		close(out[0]);
		close(out[1]);
	}

	void files(long unused)
	{
		CHECK(stat(path, &status) == 0);
		int fd = open(path, O_RDONLY);
		CHECK(fd >= 0);
		ssize_t count = read(fd, small, sizeof small);
		CHECK(count > 0 && small[count - 1] == '\n');
		close(fd);
		CHECK(pipe(pair) == 0);
		CHECK_EQ(write(pair[1], "x", 1), 1);
		CHECK_EQ(read(pair[0], small, 1), 1);
		CHECK_EQ(small[0], 'x');
		close(pair[0]);
		close(pair[1]);
		CHECK(clock_gettime(CLOCK_REALTIME, &time) == 0);
		CHECK(time.tv_sec > 1000000000);
	}

	/* Futexes work among the threads of one node, on an object whose home is another. */
	void sleeper(long unused)
	{
		CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAIT, 1, 0, 0, 0), -1);
		CHECK_EQ(errno, EAGAIN);
		__atomic_store_n(&here, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0)
			syscall(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0);
		__atomic_store_n(&here, 2, __ATOMIC_SEQ_CST);
	}
	void waker(long unused)
	{
		while (__atomic_load_n(&here, __ATOMIC_SEQ_CST) != 1)
			sched_yield();
		__atomic_store_n(&word, 5, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&here, __ATOMIC_SEQ_CST) != 2)
			CHECK(syscall(SYS_futex, &word, FUTEX_WAKE, 1, 0, 0, 0) >= 0);
	}

	for (long readable = 0; readable < 2; readable++) {
		for (size_t i = 0; i < sizeof small; i++)
			small[i] = byte_of(i, 1);
		for (size_t i = 0; i < LARGE; i++)
			large[i] = byte_of(i, 2);
		CHECK_EQ(dist_thr_join(dist_thr_create_on(1, from_absent, readable)), 0);
		for (size_t i = 0; i < LARGE; i++)
			CHECK_EQ(large[i], byte_of(i, 3));
	}
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < sizeof small; i++)
			small[i] = byte_of(i, 4);
		for (size_t i = 0; i < LARGE; i++)
			large[i] = byte_of(i, 5);
		vector[0] = (struct iovec){ small, sizeof small };
		vector[1] = (struct iovec){ large, LARGE };
		header = (struct msghdr){ .msg_iov = vector, .msg_iovlen = 2 };
		CHECK_EQ(dist_thr_join(turn ? dist_thr_create_on(1, vectors, 0) : dist_thr_create_on(1, messages, 0)), 0);
	}
	CHECK_EQ(dist_thr_join(dist_thr_create_on(1, files, 0)), 0);
	CHECK(S_ISREG(status.st_mode));
	word = 0;
	dist_thr_create_on(1, sleeper, 0);
	dist_thr_create_on(1, waker, 0);
	dist_thr_join_all();
	printf("system calls agree\n");
	return 0;
}

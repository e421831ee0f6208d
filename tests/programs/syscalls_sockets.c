/* syscalls_sockets: datagrams, names, options, descriptors passed on, and waiting, with every argument in objects of
 * another node. */
#include "syscalls.h"
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>

enum { LARGE = 2 * 4096 + 100, MANY = 3 };

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int main(void)
{
	struct sockaddr_in address, bound, sender, peer, accepted;
	socklen_t bound_length, sender_length, peer_length, accepted_length, option_length;
	int option, option_back, pending;
	char sent[LARGE], received[LARGE], more[LARGE];
	struct mmsghdr out[MANY], in[MANY];
	struct iovec out_vector[MANY], in_vector[2 * MANY];
	char pieces[MANY][100], heads[MANY][10], tails[MANY][90];
	struct sockaddr_in names[MANY];
	struct msghdr passing, taking;
	struct iovec passing_vector, taking_vector;
	union control given, taken;
	char given_byte, taken_byte[40];
	struct pollfd waits[2], waits_signal[1];
	fd_set readable, writable;
	struct timespec short_time, long_time;
	struct timeval half;
	struct epoll_event interest, events[4];
	sigset_t mask;
	eventfd_t count;
	struct timespec timeout;
	int pair[2];

#define GIVEN(X) X(address) X(option) X(sent) X(out) X(out_vector) X(in) X(in_vector) X(pieces) X(passing) X(taking) \
	X(passing_vector) X(taking_vector) X(given) X(given_byte) X(short_time) X(long_time) X(half) X(interest) X(mask) \
	X(bound_length) X(sender_length) X(peer_length) X(accepted_length) X(option_length) X(timeout)
#define RESULTS(X) X(bound) X(sender) X(peer) X(accepted) X(option_back) X(pending) X(received) X(more) X(heads) X(tails) \
	X(names) X(taken) X(taken_byte) X(waits) X(waits_signal) X(readable) X(writable) X(events) X(count) X(pair)

	void datagrams(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
		CHECK(fd >= 0 && other >= 0);
		CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
		CHECK(getsockname(fd, (struct sockaddr *)&bound, &bound_length) == 0);
		CHECK_EQ(bound_length, sizeof bound);
		CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &option, sizeof option) == 0);
		CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &option_back, &option_length) == 0);
		CHECK_EQ(option_back, SOCK_DGRAM);
		/* One datagram of several pages. */
		CHECK_EQ(sendto(other, sent, LARGE, 0, (struct sockaddr *)&bound, sizeof bound), LARGE);
		CHECK(ioctl(fd, FIONREAD, &pending) == 0);
		CHECK_EQ(pending, LARGE);
		CHECK_EQ(recvfrom(fd, received, LARGE, 0, (struct sockaddr *)&sender, &sender_length), LARGE);
		CHECK(is_filled(received, LARGE, 20 + round));
		CHECK_EQ(sender.sin_family, AF_INET);
		CHECK_EQ(sender_length, sizeof sender);
		CHECK(connect(other, (struct sockaddr *)&bound, sizeof bound) == 0);
		CHECK(getpeername(other, (struct sockaddr *)&peer, &peer_length) == 0);
		CHECK_EQ(peer.sin_port, bound.sin_port);
		CHECK_EQ(send(other, sent, LARGE, 0), LARGE);
		CHECK_EQ(recv(fd, more, 50, MSG_TRUNC), LARGE);
		CHECK(is_filled(more, 50, 20 + round));
		CHECK_EQ(more[50], (char)(0xa0 + round));

		CHECK_EQ(sendmmsg(other, out, MANY, 0), MANY);
		CHECK_EQ(recvmmsg(fd, in, MANY, 0, &timeout), MANY);
		for (int i = 0; i < MANY; i++) {
			CHECK_EQ(out[i].msg_len, sizeof pieces[i]);
			CHECK_EQ(in[i].msg_len, sizeof pieces[i]);
			CHECK_EQ(in[i].msg_hdr.msg_iov == &in_vector[2 * i], 1);
			CHECK(memcmp(heads[i], pieces[i], sizeof heads[i]) == 0);
			CHECK(memcmp(tails[i], pieces[i] + sizeof heads[i], sizeof tails[i]) == 0);
			CHECK_EQ(names[i].sin_port, sender.sin_port);
			CHECK_EQ(in[i].msg_hdr.msg_namelen, sizeof names[i]);
		}
		close(fd);
		close(other);

		int listener = socket(AF_INET, SOCK_STREAM, 0);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		struct sockaddr_in here;
		socklen_t length = sizeof here;
		CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
		CHECK(getsockname(listener, (struct sockaddr *)&here, &length) == 0);
		CHECK(connect(fd, (struct sockaddr *)&here, sizeof here) == 0);
		other = accept(listener, (struct sockaddr *)&accepted, &accepted_length);
		CHECK(other >= 0);
		CHECK_EQ(accepted.sin_family, AF_INET);
		close(listener);
		close(fd);
		close(other);
	}

	void waiting(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		/* A descriptor travels in the control bytes. */
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		*(int *)CMSG_DATA(CMSG_FIRSTHDR(&passing)) = pair[0];
		CHECK_EQ(sendmsg(pair[0], &passing, 0), 1);
		CHECK_EQ(recvmsg(pair[1], &taking, 0), 1);
		CHECK_EQ(taken_byte[0], given_byte);
		CHECK_EQ(taken_byte[1], (char)(0xa0 + round));
		CHECK_EQ(taking.msg_controllen, CMSG_SPACE(sizeof(int)));
		close(*(int *)CMSG_DATA(CMSG_FIRSTHDR(&taking)));

		waits[0] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
		waits[1] = (struct pollfd){ .fd = pair[1], .events = POLLOUT };
		CHECK_EQ(poll(waits, 2, 1000), 1);
		CHECK_EQ(waits[0].revents, 0);
		CHECK_EQ(waits[1].revents, POLLOUT);
		waits_signal[0] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
		CHECK_EQ(ppoll(waits_signal, 1, &short_time, &mask), 0);
		FD_ZERO(&readable);
		FD_ZERO(&writable);
		FD_SET(pair[0], &readable);
		FD_SET(pair[1], &writable);
		CHECK_EQ(select(pair[0] > pair[1] ? pair[0] + 1 : pair[1] + 1, &readable, &writable, 0, &half), 1);
		CHECK(!FD_ISSET(pair[0], &readable) && FD_ISSET(pair[1], &writable));
		FD_SET(pair[0], &readable);
		CHECK_EQ(pselect(pair[0] + 1, &readable, 0, 0, &short_time, &mask), 0);
		CHECK(!FD_ISSET(pair[0], &readable));
		int epoll = epoll_create1(0);
		CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &interest) == 0);
		CHECK_EQ(epoll_wait(epoll, events, 4, 1000), 1);
		CHECK_EQ(events[0].data.u64, 77 + round);
		CHECK_EQ(((char *)&events[1])[0], (char)(0xa0 + round));
		CHECK_EQ(epoll_pwait(epoll, events, 4, 1000, &mask), 1);
		close(epoll);
		int event = eventfd(5, 0);
		CHECK(eventfd_read(event, &count) == 0);
		CHECK_EQ(count, 5);
		close(event);
		close(pair[0]);
		close(pair[1]);
	}

	for (int part = 0; part < 2; part++)
		for (long round = 0; round < ROUNDS; round++) {
			RESULTS(SPOIL)
			address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
			bound_length = sender_length = peer_length = accepted_length = sizeof address;
			option_length = sizeof option;
			option = (1 << 18) + round;
			fill(sent, LARGE, 20 + round);
			for (int i = 0; i < MANY; i++) {
				fill(pieces[i], sizeof pieces[i], 30 + i + round);
				out_vector[i] = (struct iovec){ pieces[i], sizeof pieces[i] };
				out[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &out_vector[i], .msg_iovlen = 1 } };
				in_vector[2 * i] = (struct iovec){ heads[i], sizeof heads[i] };
				in_vector[2 * i + 1] = (struct iovec){ tails[i], sizeof tails[i] };
				in[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &names[i], .msg_namelen = sizeof names[i],
								       .msg_iov = &in_vector[2 * i], .msg_iovlen = 2 } };
			}
			given_byte = 'g' + round;
			memset(&given, 0, sizeof given);
			given.align = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
			passing_vector = (struct iovec){ &given_byte, 1 };
			passing = (struct msghdr){ .msg_iov = &passing_vector, .msg_iovlen = 1,
						   .msg_control = &given, .msg_controllen = sizeof given };
			taking_vector = (struct iovec){ taken_byte, sizeof taken_byte };
			taking = (struct msghdr){ .msg_iov = &taking_vector, .msg_iovlen = 1,
						  .msg_control = &taken, .msg_controllen = sizeof taken };
			short_time = (struct timespec){ 0, 1000000 + round };
			long_time = timeout = (struct timespec){ 5, round };
			half = (struct timeval){ 0, 500000 + round };
			interest = (struct epoll_event){ .events = EPOLLOUT, .data.u64 = 77 + round };
			sigemptyset(&mask);
			CHECK_EQ(dist_thr_join(dist_thr_create_on(1, part ? waiting : datagrams, round)), 0);
			if (!part)
				CHECK(is_filled(received, LARGE, 20 + round));
		}
	printf("sockets agree\n");
	return 0;
}

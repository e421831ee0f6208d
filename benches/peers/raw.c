/* raw.c TRANSPORT COUNT: the floor. Two processes, each on a processor of its own, that look for messages all the time.
 *
 *     rtt_64        64 bytes there and back
 *     rtt_4096      64 bytes there, 4096 back
 *     segv_64       a page fault by SIGSEGV, the round trip of 64 bytes in its handler, then mprotect
 *     segv_4096     the same with a page of bytes
 *     uffd_4096     the same by userfaultfd: SIGBUS in the faulting thread, then UFFDIO_COPY; not where it is forbidden
 *     stream_page   4096 bytes of a stream in blocks of 64 KiB
 *     thread        pthread_create and join of a thread that does nothing
 *
 * TRANSPORT: tcp (loopback, TCP_NODELAY), unix, or shm (memory of both, a flag for each direction).
 * Estimate: tcp 5.8, 6.7, 8, 9, 10 us, 1 us a page; shm 0.3, 1, 2.3, 3, 4 us, 0.5 us a page; thread 13 us. */
#include "burst.h"
#include <errno.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { WARM_UP = 500, REQUEST = 64, BLOCK = 65536, STREAM_PAGES = 4096 };

/* One direction in shared memory: `bytes` are there when `turn` says so. */
struct mailbox {
    _Atomic long turn __attribute__((aligned(64)));
    char bytes[BLOCK] __attribute__((aligned(64)));
};

static int link_fd = -1;                     /* a socket; -1: the mailboxes */
static struct mailbox *out, *in;
static long out_turn, in_turn;

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

static void send_bytes(const char *bytes, size_t count)
{
    if (link_fd < 0) {
        memcpy(out->bytes, bytes, count);
        atomic_store_explicit(&out->turn, ++out_turn, memory_order_release);
        return;
    }
    for (size_t done = 0; done < count;) {
        ssize_t sent = send(link_fd, bytes + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            die("send");
        done += sent > 0 ? sent : 0;
    }
}

/* False when the other end is gone. */
static int receive_bytes(char *bytes, size_t count)
{
    if (link_fd < 0) {
        in_turn++;
        while (atomic_load_explicit(&in->turn, memory_order_acquire) < in_turn)
            ;
        memcpy(bytes, in->bytes, count);
        return 1;
    }
    for (size_t done = 0; done < count;) {
        ssize_t got = recv(link_fd, bytes + done, count - done, MSG_DONTWAIT);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EAGAIN)
            die("recv");
        done += got > 0 ? got : 0;
    }
    return 1;
}

/* The request says how long the answer is, and how often it comes; 0: the end. */
struct request { long answer, times; char rest[REQUEST - 2 * sizeof(long)]; };

static void answer_requests(void)
{
    static char bytes[BLOCK];
    struct request request;
    memset(bytes, 1, sizeof bytes);
    while (receive_bytes((char *)&request, sizeof request) && request.times)
        for (long i = 0; i < request.times; i++) {
            send_bytes(bytes, request.answer);
            /* A mailbox holds one block: it is taken before the next. */
            if (link_fd < 0 && request.times > 1)
                receive_bytes((char *)&(char){ 0 }, 1);
        }
}

static void ask(char *bytes, long answer)
{
    struct request request = { answer, 1, { 0 } };
    send_bytes((char *)&request, sizeof request);
    receive_bytes(bytes, answer);
}

/* ---- faults: the answer is written through `engine`, the program reads through `view` */

static char *engine, *view, buffer[BLOCK];
static long answer_bytes;
static int uffd = -1;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    char *page = (char *)((unsigned long)info->si_addr & -PAGE);
    if (uffd < 0) {
        ask(engine + (page - view), answer_bytes);
        if (mprotect(page, PAGE, PROT_READ))
            die("mprotect");
    } else {
        ask(buffer, answer_bytes);
        struct uffdio_copy copy = { .dst = (unsigned long)page, .src = (unsigned long)buffer, .len = PAGE };
        if (ioctl(uffd, UFFDIO_COPY, &copy))
            die("UFFDIO_COPY");
    }
}

static struct samples samples;

static void touch(const char *name, int count)
{
    for (int i = 0; i < count; i++) {
        long start = now_ns();
        load_byte(view + (size_t)i * PAGE);
        add_sample(&samples, now_ns() - start);
    }
    report(name, &samples);
}

static void faults(int count)
{
    size_t bytes = (size_t)count * PAGE;
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    int file = memfd_create("raw", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, bytes))
        die("memfd");
    engine = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    view = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    for (answer_bytes = 64; answer_bytes <= PAGE; answer_bytes *= PAGE / 64) {
        mprotect(view, bytes, PROT_NONE);
        touch(answer_bytes == 64 ? "segv_64" : "segv_4096", count);
    }
    answer_bytes = PAGE;
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    uffd = device < 0 ? -1 : ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (uffd < 0)
        return;
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };
    view = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(view, bytes, MADV_NOHUGEPAGE);
    struct uffdio_register range = { .range = { (unsigned long)view, bytes }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range))
        return;
    touch("uffd_4096", count);
}

static void round_trips(const char *name, long answer, int count)
{
    for (int i = -WARM_UP; i < count; i++) {
        long start = now_ns();
        ask(buffer, answer);
        if (i >= 0)
            add_sample(&samples, now_ns() - start);
    }
    report(name, &samples);
}

static void stream(int times)
{
    for (int i = 0; i < times; i++) {
        struct request request = { BLOCK, (long)STREAM_PAGES * PAGE / BLOCK, { 0 } };
        long start = now_ns();
        send_bytes((char *)&request, sizeof request);
        for (long block = 0; block < request.times; block++) {
            receive_bytes(buffer, BLOCK);
            if (link_fd < 0)
                send_bytes(buffer, 1);
        }
        add_sample(&samples, (double)(now_ns() - start) / STREAM_PAGES);
    }
    report("stream_page", &samples);
}

static void *nothing(void *unused) { return unused; }

static void threads(int count)
{
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        long start = now_ns();
        pthread_create(&thread, 0, nothing, 0);
        pthread_join(thread, 0);
        add_sample(&samples, now_ns() - start);
    }
    report("thread", &samples);
}

/* Two connected sockets. */
static void connect_pair(const char *transport, int pair[2])
{
    if (strcmp(transport, "unix") == 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            die("socketpair");
        return;
    }
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &length) ||
        connect(pair[0], (struct sockaddr *)&address, length) || (pair[1] = accept(listener, 0, 0)) < 0)
        die("TCP on the loopback interface");
    close(listener);
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int pair[2] = { -1, -1 }, count = atoi(argv[2]);
    struct mailbox *boxes = mmap(0, 2 * sizeof *boxes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (strcmp(argv[1], "shm") != 0)
        connect_pair(argv[1], pair);
    pid_t partner = fork();
    int rank = partner == 0;
    link_fd = pair[rank];
    close(pair[!rank]);
    out = &boxes[rank], in = &boxes[!rank];
    burst(rank);
    if (partner == 0) {
        answer_requests();
        _exit(0);
    }
    round_trips("rtt_64", 64, count);
    round_trips("rtt_4096", PAGE, count);
    faults(count);
    stream(8);
    struct request end = { 0, 0, { 0 } };
    send_bytes((char *)&end, sizeof end);
    waitpid(partner, 0, 0);
    threads(count);
}

/* signals: the program's own handlers for SIGSEGV and SIGBUS, its masks and its alternate stacks, while shared
 * objects come and go. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include "check.h"

enum { ROUNDS = 200, BYTES = 3 * 4096 };

static __thread sigjmp_buf way_out;
static __thread volatile int caught;
static __thread void *volatile caught_at;
static __thread volatile int on_own_stack;
static __thread char *own_stack;
static volatile int *handlers_object __attribute__((node_local));

static void on_fault(int number, siginfo_t *info, void *context)
{
	char here;
	(void)context;
	caught = number;
	caught_at = info->si_addr;
	on_own_stack = own_stack && &here >= own_stack && &here < own_stack + 65536;
	/* A handler may use shared objects. */
	if (handlers_object)
		*handlers_object += 1;
	siglongjmp(way_out, 1);
}

static volatile long simple_count __attribute__((node_local));

static void on_simple(int number)
{
	simple_count += number;
}

static void set(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction new = { 0 }, old = { 0 };
	new.sa_sigaction = handler;
	new.sa_flags = SA_SIGINFO | flags;
	sigfillset(&new.sa_mask);
	CHECK_EQ(sigaction(number, &new, 0), 0);
	CHECK_EQ(sigaction(number, 0, &old), 0);
	CHECK(old.sa_sigaction == handler);
	CHECK((old.sa_flags & ~0x04000000) == new.sa_flags);
	CHECK_EQ(sigismember(&old.sa_mask, SIGUSR1), 1);
	CHECK_EQ(sigismember(&old.sa_mask, number == SIGSEGV ? SIGBUS : SIGSEGV), 1);
}

/* An access that is the program's own fault reaches its handler, with the address. */
static void own_fault(char *at, int number)
{
	caught = 0;
	if (sigsetjmp(way_out, 1) == 0) {
		*(volatile char *)at = 1;
		CHECK(!"reached");
	}
	CHECK_EQ(caught, number);
	CHECK(caught_at == at);
}

int main(void)
{
	_Atomic long moved = 0;
	char bytes[BYTES];
	volatile int in_handler = 0;
	dist_barrier_t barrier;

	void faults(long thread)
	{
		char *closed = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char name[] = "/tmp/umbel-signals-XXXXXX";
		int file = mkstemp(name);
		CHECK(file >= 0);
		unlink(name);
		char *beyond = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		CHECK(closed != MAP_FAILED && beyond != MAP_FAILED);
		stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
		own_stack = stack.ss_sp;
		CHECK_EQ(sigaltstack(&stack, 0), 0);
		handlers_object = &in_handler;

		for (int i = 0; i < ROUNDS; i++) {
			own_fault(closed, SIGSEGV);
			CHECK(on_own_stack);
			own_fault(beyond, SIGBUS);
			own_fault((char *)16, SIGSEGV);
			moved++;
			bytes[(i * 37 + thread) % BYTES]++;
		}

		/* Everything blocked: shared objects are there all the same, and the thread is told what it said. */
		sigset_t all, old, asked;
		sigfillset(&all);
		sigemptyset(&old);
		CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
		CHECK_EQ(sigismember(&old, SIGSEGV), 0);
		for (int i = 0; i < ROUNDS; i++) {
			moved++;
			bytes[(i * 41 + thread) % BYTES]++;
		}
		CHECK_EQ(sigprocmask(SIG_BLOCK, 0, &asked), 0);
		CHECK_EQ(sigismember(&asked, SIGSEGV), 1);
		CHECK_EQ(sigismember(&asked, SIGBUS), 1);
		CHECK_EQ(sigismember(&asked, SIGUSR2), 1);
		CHECK_EQ(sigprocmask(SIG_SETMASK, &old, &asked), 0);
		CHECK_EQ(sigismember(&asked, SIGTRAP), 1);
		CHECK_EQ(pthread_sigmask(SIG_BLOCK, 0, &asked), 0);
		CHECK_EQ(sigismember(&asked, SIGSEGV), 0);
		CHECK_EQ(sigismember(&asked, SIGUSR2), 0);
		CHECK_EQ(sighold(SIGSEGV), 0);
		moved++;
		CHECK_EQ(sigrelse(SIGSEGV), 0);
		CHECK_EQ(pthread_sigmask(99, &all, 0), EINVAL);
		stack.ss_flags = SS_DISABLE;
		CHECK_EQ(sigaltstack(&stack, 0), 0);
		free(own_stack);
		own_stack = 0;
		munmap(closed, 4096);
		munmap(beyond, 4096);
		close(file);
	}
	/* Timer signals all the time, whose handler touches shared objects with every signal in its mask. */
	void ticks(int number)
	{
		(void)number;
		moved++;
	}
	void timers(void)
	{
		struct sigaction action = { 0 }, old;
		action.sa_handler = ticks;
		action.sa_flags = SA_RESTART;
		sigfillset(&action.sa_mask);
		CHECK_EQ(sigaction(SIGUSR1, &action, 0), 0);
		CHECK_EQ(sigaction(SIGUSR1, 0, &old), 0);
		CHECK_EQ(sigismember(&old.sa_mask, SIGSEGV), 1);
		for (int i = 0; i < ROUNDS; i++) {
			CHECK_EQ(raise(SIGUSR1), 0);
			bytes[i] += bytes[i + 4096] & 1;
		}
		CHECK(signal(SIGUSR1, SIG_IGN) == ticks);
		CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	}
	/* What is sent is delivered, too; what signal() says is what it says. */
	void simple(void)
	{
		struct sigaction old;
		CHECK(signal(SIGSEGV, on_simple) != SIG_ERR);
		CHECK_EQ(sigaction(SIGSEGV, 0, &old), 0);
		CHECK(old.sa_handler == on_simple && old.sa_flags & SA_RESTART && !(old.sa_flags & SA_SIGINFO));
		CHECK_EQ(raise(SIGSEGV), 0);
		CHECK_EQ(simple_count, SIGSEGV);
		CHECK(signal(SIGSEGV, SIG_DFL) == on_simple);
		CHECK(signal(SIGBUS, SIG_DFL) != SIG_ERR);
		CHECK(signal(99, SIG_DFL) == SIG_ERR && errno == EINVAL);
		/* The default of a forked process: it dies of it. */
		pid_t child = fork();
		if (child == 0) {
			*(volatile int *)16 = 1;
			_exit(1);
		}
		int status;
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
		moved++;
	}

	memset(bytes, 0, BYTES);
	int nodes = dist_node_count();
	CHECK_EQ(dist_barrier_init(&barrier, 0, 2 * nodes), 0);
	void all(long thread)
	{
		if (thread < nodes) {
			set(SIGSEGV, on_fault, SA_ONSTACK);
			set(SIGBUS, on_fault, SA_ONSTACK);
		}
		dist_barrier_wait(&barrier);
		faults(thread);
		dist_barrier_wait(&barrier);
		if (thread < nodes)
			timers();
		dist_barrier_wait(&barrier);
		if (thread < nodes)
			simple();
	}
	for (int i = 0; i < 2 * nodes; i++)
		dist_thr_create_on(i % nodes, all, i);
	dist_thr_join_all();
	CHECK_EQ(moved, 2 * nodes * (2 * ROUNDS + 1) + nodes * (ROUNDS + 1));
	puts("signals agree");
	return 0;
}

/* processes: fork, vfork, posix_spawn, system, popen and exec from threads on every node, while shared objects move.
 * The argument says what a forked child does that it must not; without one nothing is wrong. */
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include "check.h"

extern char **environ;

enum { ROUNDS = 20 };

static int status_of(pid_t child)
{
	int status;
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return 1000 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

/* A captured local of a function that only the child calls: its scope ends there. */
static int private_sum(int count)
{
	int private_numbers[100];
	int sum = 0;
	for (int i = 0; i < count; i++)
		private_numbers[i] = i;
	for (int i = 0; i < count; i++)
		sum += private_numbers[i];
	return sum;
}

static void forks(const char *node)
{
	char *heap = malloc(100000);
	memset(heap, 'a', 100000);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		/* Private memory is a copy; the runtime still says where this is. */
		if (heap[99999] != 'a' || private_sum(100) != 4950)
			_exit(50);
		heap[0] = 'b';
		free(heap);
		_exit(dist_thr_node() == atoi(node) && dist_node_count() > 0 ? 7 : 51);
	}
	CHECK_EQ(status_of(child), 7);
	CHECK_EQ(heap[0], 'a');
	free(heap);
	/* The end of a child by exit() runs handlers and must not end the job, nor wait for it. */
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		exit(8);
	CHECK_EQ(status_of(child), 8);
}

static void execs(const char *node)
{
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "exit $1", "sh", "9", (char *)0);
		_exit(52);
	}
	CHECK_EQ(status_of(child), 9);
	child = vfork();
	CHECK(child >= 0);
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "exit 10", (char *)0);
		_exit(53);
	}
	CHECK_EQ(status_of(child), 10);
	char *words[] = { "sh", "-c", "exit 11", 0 };
	CHECK_EQ(posix_spawn(&child, "/bin/sh", 0, 0, words, environ), 0);
	CHECK_EQ(status_of(child), 11);
	/* What is executed is alone: no descriptor of the job, nothing of it in the environment. */
	CHECK_EQ(WEXITSTATUS(system("test -z \"$UMBEL_RANK$UMBEL_LINKS$UMBEL_CONTROL$UMBEL_JOB$UMBEL_SIZE\" || exit 54;"
	                            " for d in /proc/self/fd/*; do case ${d##*/} in 0|1|2) ;;"
	                            " *) readlink $d | grep -E 'socket|memfd|eventfd|eventpoll|userfault|timerfd' >&2 && exit 55 ;;"
	                            " esac; done; exit 12")), 12);
	FILE *pipe = popen("echo from the shell", "r");
	char line[100];
	CHECK(pipe && fgets(line, sizeof line, pipe));
	CHECK(strcmp(line, "from the shell\n") == 0);
	CHECK_EQ(pclose(pipe), 0);
	(void)node;
}

int main(int argc, char **argv)
{
	const char *wrong = argc > 1 ? argv[1] : "";
	_Atomic long moved = 0;
	_Atomic int done = 0;
	long shared[1000];
	dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;

	void move(void)
	{
		while (!done)
			moved++;
	}
	void starts_processes(long round)
	{
		char node[20];
		sprintf(node, "%d", dist_thr_node());
		for (int i = 0; i < ROUNDS; i++) {
			forks(node);
			if (i % 4 == round % 4)
				execs(node);
			dist_mutex_lock(&mutex);
			shared[round]++;
			dist_mutex_unlock(&mutex);
		}
	}
	/* Ends with the status of the forked child, which was to be told what is wrong. */
	void does_wrong(void)
	{
		char what[20];
		strcpy(what, wrong);
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			alarm(20);
			if (strcmp(what, "read") == 0)
				exit(shared[0] == 12345);
			if (strcmp(what, "write") == 0)
				shared[0] = 5;
			if (strcmp(what, "lock") == 0)
				dist_mutex_lock(&mutex);
			if (strcmp(what, "malloc") == 0)
				exit(dist_malloc(100) == 0);
			if (strcmp(what, "thread") == 0)
				exit(dist_thr_create(move, 0) == 0);
			if (strcmp(what, "flush") == 0)
				dist_flush();
			exit(60);
		}
		exit(status_of(child));
	}
	/* What is to be started is said in shared objects, which are elsewhere, or here to be read. */
	char path[] = "/bin/sh", command[] = "exit 31", flag[] = "-c";
	char *words[] = { path, flag, command, 0 };
	void shared_words(long is_read)
	{
		volatile char sink = is_read ? path[0] + command[0] + flag[0] + (words[0] == 0) : 0;
		pid_t child;
		CHECK_EQ(WEXITSTATUS(system(command)), 31);
		CHECK_EQ(posix_spawn(&child, path, 0, 0, words, environ), 0);
		CHECK_EQ(status_of(child), 31);
		FILE *pipe = popen(command, "r");
		CHECK(pipe);
		CHECK_EQ(WEXITSTATUS(pclose(pipe)), 31);
		child = vfork();
		CHECK(child >= 0);
		if (child == 0) {
			execv(path, words);
			_exit(56);
		}
		CHECK_EQ(status_of(child), 31);
		(void)sink;
	}
	/* The child leaves by returning from what its father runs. */
	void child_returns(void)
	{
		pid_t child = fork();
		CHECK(child >= 0);
		if (child != 0)
			CHECK_EQ(status_of(child), 0);
	}

	memset(shared, 0, sizeof shared);
	if (*wrong) {
		dist_thr_create_on(dist_node_count() - 1, does_wrong, 0);
		dist_thr_join_all();
		return 61;
	}
	for (int is_read = 0; is_read < 2; is_read++)
		dist_thr_join(dist_thr_create_on(dist_node_count() - 1, shared_words, is_read));
	dist_thr_create_on(dist_node_count() - 1, move, 0);
	dist_thr_create_on(0, move, 0);
	int threads = 2 * dist_node_count();
	dist_thr_t worker[64];
	for (int i = 0; i < threads; i++)
		worker[i] = dist_thr_create(starts_processes, i);
	for (int i = 0; i < threads; i++)
		CHECK_EQ(dist_thr_join(worker[i]), 0);
	for (int i = 0; i < threads; i++)
		CHECK_EQ(shared[i], ROUNDS);
	done = 1;
	dist_thr_join_all();
	for (int i = 0; i < dist_node_count(); i++)
		dist_thr_create_on(i, child_returns, 0);
	dist_thr_join_all();
	pid_t child = fork();
	if (child == 0)
		return 13;
	CHECK_EQ(status_of(child), 13);
	puts("processes agree");
	return 0;
}

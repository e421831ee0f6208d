/* syscalls_processes: time, processes and limits, calls by number, in handlers and in cancelled threads, with what
 * they read and write in objects of another node. */
#include "syscalls.h"
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int handler_ends[2];
static char *handler_text;
static volatile sig_atomic_t handler_done;

static void handler(int signal)
{
	int before = errno = 4321;
	(void)signal;
	if (write(handler_ends[1], handler_text, 5000) == 5000 && errno == before)
		handler_done = 1;
}

struct waiting {
	int fd;
	char *buffer;
	atomic_int entered;
	int cleaned;
};

static void clean(void *argument)
{
	((struct waiting *)argument)->cleaned = 1;
}

static void *wait_for_ever(void *argument)
{
	struct waiting *waiting = argument;
	pthread_cleanup_push(clean, waiting);
	waiting->entered = 1;
	if (read(waiting->fd, waiting->buffer, 300000) >= 0)
		abort();
	pthread_cleanup_pop(0);
	return 0;
}

int main(void)
{
	struct timespec now, resolution, until, pause, left;
	struct itimerspec timer, timer_back, timer_old;
	struct rusage usage, usage_child;
	struct tms ticks;
	struct utsname names;
	struct sysinfo info;
	struct rlimit limit, limit_new;
	time_t seconds;
	int status, status_spawned, status_exec;
	siginfo_t signal_info;
	cpu_set_t processors;
	struct sched_param parameters;
	gid_t groups[100];
	uid_t real, effective, saved;
	char thread_name[16], thread_name_back[16];
	unsigned char noise[5000], noise_raw[100];
	char command[64], shell[16], dash_c[4], script[64], marker[32], output_mode[4];
	char *arguments[4];
	char handler_bytes[5000], cancelled[300000];
	char raw_path[32], raw_bytes[5000], raw_back[5000], raw_where[200];
	struct stat raw_status;
	sigset_t block, blocked, pending;
	struct sigaction action, action_before;
	stack_t stack, stack_before;
	int raw_pair[2];

#define GIVEN(X) X(until) X(pause) X(timer) X(limit_new) X(thread_name) X(command) X(shell) X(dash_c) X(script) X(marker) \
	X(output_mode) X(arguments) X(handler_bytes) X(raw_path) X(raw_bytes) \
	X(block) X(action) X(stack)
#define RESULTS(X) X(now) X(resolution) X(left) X(timer_back) X(timer_old) X(usage) X(usage_child) X(ticks) X(names) \
	X(info) X(limit) X(seconds) X(status) X(status_spawned) X(status_exec) X(signal_info) X(processors) X(parameters) \
	X(groups) X(real) X(effective) X(saved) X(thread_name_back) X(noise) X(noise_raw) X(raw_back) X(raw_where) \
	X(raw_status) X(raw_pair) X(blocked) X(pending) X(action_before) X(stack_before)

	void times_and_limits(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0 && now.tv_nsec < 1000000000);
		CHECK(clock_getres(CLOCK_THREAD_CPUTIME_ID, &resolution) == 0 && resolution.tv_sec == 0);
		CHECK(time(&seconds) == seconds);
		CHECK(nanosleep(&pause, &left) == 0);
		CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, 0, &pause, &left), 0);
		int fd = timerfd_create(CLOCK_MONOTONIC, 0);
		CHECK(timerfd_settime(fd, 0, &timer, &timer_old) == 0 && timer_old.it_value.tv_sec == 0);
		CHECK(timerfd_gettime(fd, &timer_back) == 0 && timer_back.it_value.tv_sec > 90);
		close(fd);
		sem_t semaphore;
		CHECK(sem_init(&semaphore, 0, 0) == 0);
		CHECK_EQ(sem_timedwait(&semaphore, &until), -1);
		CHECK_EQ(errno, ETIMEDOUT);
		pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
		pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
		pthread_mutex_lock(&mutex);
		CHECK_EQ(pthread_cond_timedwait(&condition, &mutex, &until), ETIMEDOUT);
		pthread_mutex_unlock(&mutex);

		CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > 0);
		CHECK(times(&ticks) != (clock_t)-1 && ticks.tms_cutime >= 0);
		CHECK(uname(&names) == 0 && strcmp(names.sysname, "Linux") == 0);
		CHECK(sysinfo(&info) == 0 && info.procs > 0);
		CHECK(getrlimit(RLIMIT_CORE, &limit) == 0);
		CHECK(setrlimit(RLIMIT_CORE, &limit_new) == 0);
		CHECK(prlimit(0, RLIMIT_NOFILE, 0, &limit) == 0 && limit.rlim_cur > 0);
		CHECK(sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_COUNT(&processors) > 0);
		CHECK(sched_setaffinity(0, sizeof processors, &processors) == 0);
		CHECK(sched_getparam(0, &parameters) == 0);
		CHECK(getgroups(100, groups) >= 0);
		CHECK(getresuid(&real, &effective, &saved) == 0 && effective == geteuid());
		CHECK(pthread_setname_np(pthread_self(), thread_name) == 0);
		CHECK(pthread_getname_np(pthread_self(), thread_name_back, sizeof thread_name_back) == 0);
		CHECK(strcmp(thread_name, thread_name_back) == 0);
		CHECK(prctl(PR_SET_NAME, marker) == 0 && prctl(PR_GET_NAME, thread_name_back) == 0);
		CHECK(strcmp(marker, thread_name_back) == 0);
		memset(noise, 0, 10);
		CHECK_EQ(getrandom(noise, sizeof noise, 0), sizeof noise);
		CHECK(getentropy(noise, 100) == 0);
	}

	void children(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		CHECK_EQ(WEXITSTATUS(system(command)), 3 + round);
		FILE *stream = popen(script, output_mode);
		char line[64];
		CHECK(stream != 0 && fgets(line, sizeof line, stream) != 0);
		CHECK(strncmp(line, "said ", 5) == 0 && line[5] == '0' + round);
		CHECK_EQ(pclose(stream), 0);
		pid_t child;
		CHECK_EQ(posix_spawn(&child, shell, 0, 0, arguments, environ), 0);
		CHECK_EQ(waitpid(child, &status_spawned, 0), child);
		CHECK_EQ(WEXITSTATUS(status_spawned), 3 + round);
		/* The array is private, its strings are not; and they are on the stack, one by one. */
		char *list[] = { shell, dash_c, command, 0 };
		child = vfork();
		if (child == 0) {
			execv(shell, list);
			_exit(99);
		}
		CHECK_EQ(wait4(child, &status_exec, 0, &usage_child), child);
		CHECK_EQ(WEXITSTATUS(status_exec), 3 + round);
		child = vfork();
		if (child == 0) {
			execl(shell, shell, dash_c, command, "1", "2", "3", "4", "5", (char *)0);
			_exit(99);
		}
		CHECK(waitid(P_PID, child, &signal_info, WEXITED) == 0);
		CHECK_EQ(signal_info.si_status, 3 + round);
		child = vfork();
		if (child == 0) {
			execle("/bin/sh", shell, dash_c, command, (char *)0, environ);
			_exit(99);
		}
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK_EQ(WEXITSTATUS(status), 3 + round);
	}

	void interrupted(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		CHECK(pipe(handler_ends) == 0);
		handler_text = handler_bytes;
		handler_done = 0;
		CHECK(sigaction(SIGUSR1, &action, &action_before) == 0);
		CHECK(raise(SIGUSR1) == 0);
		CHECK(handler_done);
		char *check = malloc(5000);
		CHECK_EQ(read(handler_ends[0], check, 5000), 5000);
		CHECK(is_filled(check, 5000, 40 + round));
		free(check);
		CHECK(sigaction(SIGUSR1, &action_before, 0) == 0);
		CHECK(sigprocmask(SIG_BLOCK, &block, &blocked) == 0);
		CHECK(!sigismember(&blocked, SIGUSR2));
		CHECK(pthread_kill(pthread_self(), SIGUSR2) == 0 && sigpending(&pending) == 0);
		CHECK(sigismember(&pending, SIGUSR2));
		CHECK_EQ(sigwaitinfo(&block, &signal_info), SIGUSR2);
		CHECK_EQ(signal_info.si_signo, SIGUSR2);
		CHECK(pthread_sigmask(SIG_SETMASK, &blocked, &block) == 0);
		CHECK(sigismember(&block, SIGUSR2));
		CHECK(sigaltstack(&stack, &stack_before) == 0);

		struct waiting waiting = { .fd = handler_ends[0], .buffer = cancelled };
		pthread_t thread;
		void *result;
		CHECK(pthread_create(&thread, 0, wait_for_ever, &waiting) == 0);
		/* At first, cancelled wherever it is: not within the runtime, where others would wait for it. */
		while (round && !waiting.entered)
			sched_yield();
		CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
		CHECK(result == PTHREAD_CANCELED && (!round || waiting.cleaned));
		close(handler_ends[0]);
		close(handler_ends[1]);
	}

	void by_number(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		CHECK(syscall(SYS_pipe2, raw_pair, 0) == 0);
		CHECK_EQ(syscall(SYS_write, raw_pair[1], raw_bytes, sizeof raw_bytes), sizeof raw_bytes);
		CHECK_EQ(syscall(SYS_read, raw_pair[0], raw_back, sizeof raw_back), sizeof raw_back);
		CHECK(is_filled(raw_back, sizeof raw_back, 50 + round));
		close(raw_pair[0]);
		close(raw_pair[1]);
		long fd = syscall(SYS_openat, AT_FDCWD, raw_path, O_RDONLY, 0);
		CHECK(fd >= 0);
		CHECK(syscall(SYS_newfstatat, AT_FDCWD, raw_path, &raw_status, 0) == 0 && S_ISDIR(raw_status.st_mode));
		CHECK(syscall(SYS_getdents64, fd, raw_back, sizeof raw_back) > 0);
		close(fd);
		CHECK(syscall(SYS_getcwd, raw_where, sizeof raw_where) > 0 && raw_where[0] == '/');
		CHECK_EQ(syscall(SYS_getrandom, noise_raw, sizeof noise_raw, 0), sizeof noise_raw);
		CHECK_EQ(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, &left), 0);
		CHECK_EQ(syscall(SYS_read, -1, raw_back, sizeof raw_back), -1);
		CHECK_EQ(errno, EBADF);
		CHECK_EQ(syscall(SYS_gettid), gettid());
	}

	void (*parts[])(long) = { times_and_limits, children, interrupted, by_number };
	for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
		for (long round = 0; round < ROUNDS; round++) {
			RESULTS(SPOIL)
			until = (struct timespec){ 1 + round, 0 };
			pause = (struct timespec){ 0, 1000 + round };
			timer = (struct itimerspec){ .it_value = { 100 + round, 0 } };
			CHECK(getrlimit(RLIMIT_CORE, &limit_new) == 0);
			snprintf(thread_name, sizeof thread_name, "umbel-test-%ld", round);
			snprintf(marker, sizeof marker, "marker-%ld", round);
			snprintf(command, sizeof command, "exit %ld", 3 + round);
			snprintf(script, sizeof script, "echo said %ld", round);
			strcpy(shell, round ? "/bin//sh" : "/bin/sh");
			strcpy(dash_c, "-c");
			strcpy(output_mode, "r");
			arguments[0] = shell;
			arguments[1] = dash_c;
			arguments[2] = command;
			arguments[3] = 0;
			fill(handler_bytes, sizeof handler_bytes, 40 + round);
			SPOIL(cancelled)
			fill(raw_bytes, sizeof raw_bytes, 50 + round);
			sigemptyset(&block);
			sigaddset(&block, SIGUSR2);
			memset(&action, 0, sizeof action);
			action.sa_handler = handler;
			action.sa_flags = round ? SA_RESTART : 0;
			stack = (stack_t){ .ss_flags = SS_DISABLE, .ss_size = round };
			strcpy(raw_path, round ? "/" : "/usr/..");
			CHECK_EQ(dist_thr_join(dist_thr_create_on(1, parts[part], round)), 0);
		}
	CHECK_EQ(raw_where[0], '/');
	printf("processes agree\n");
	return 0;
}

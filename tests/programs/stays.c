/* stays FOLDER WHAT NODE: a thread on every node marks its presence by a file FOLDER/RANK with its process
 * number and stays; on NODE it then does WHAT. */
#include <signal.h>
#include "check.h"

static void mark(const char *folder)
{
	char path[4096], done[4096];
	snprintf(path, sizeof path, "%s/new-%d", folder, dist_thr_node());
	snprintf(done, sizeof done, "%s/%d", folder, dist_thr_node());
	FILE *file = fopen(path, "w");
	CHECK(file);
	fprintf(file, "%d", (int)getpid());
	fclose(file);
	CHECK(rename(path, done) == 0);
}

int main(int argc, char **argv)
{
	char folder[4096], what[32];
	int node = argc > 3 ? atoi(argv[3]) : -1;
	snprintf(folder, sizeof folder, "%s", argv[1]);
	snprintf(what, sizeof what, "%s", argc > 2 ? argv[2] : "");
	_Atomic int here = 0;
	long busy = 0;

	void stayer(int number)
	{
		mark(folder);
		here++;
		while (here < dist_node_count())
			usleep(1000);
		if (number == node && strcmp(what, "segv") == 0)
			*(volatile int *)8 = 1;
		if (number == node && strcmp(what, "abort") == 0)
			abort();
		if (number == node && strcmp(what, "kill") == 0)
			kill(getpid(), SIGKILL);
		if (number == node && strcmp(what, "exit") == 0)
			_exit(3);
		if (number == node && strcmp(what, "stray") == 0)
			*(volatile int *)atol(argv[4]) = 1;
		/* Pages move all the time. */
		for (;;)
			__atomic_fetch_add(&busy, 1, __ATOMIC_SEQ_CST);
	}
	for (int rank = 0; rank < dist_node_count(); rank++)
		CHECK(dist_thr_create_on(rank, stayer, rank));
	dist_thr_join_all();
	return 0;
}

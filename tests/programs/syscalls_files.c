/* syscalls_files: names of files, and what is known of them, in objects of another node. */
#include "syscalls.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>

int main(void)
{
	char folder[200];
	char file[220], moved[220], linked[220], symbolic[220], inner[220], temporary[220], temporaries[220];
	char file_again[220], moved_again[220], relative[16], mode[8];
	char target[300], where[300], where_raw[300], resolved[PATH_MAX];
	struct stat status, status_at, status_fd;
	struct statx extended;
	struct statfs system;
	struct timespec times[2];
	struct timeval old_times[2];
	struct flock lock;
	const char *parent = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";

#define NAMES(X) X(folder) X(file) X(moved) X(linked) X(symbolic) X(inner) X(temporary) X(temporaries) \
	X(file_again) X(moved_again) X(relative) X(mode) X(times) X(old_times) X(lock)
#define RESULTS(X) X(target) X(where) X(where_raw) X(resolved) X(status) X(status_at) X(status_fd) X(extended) X(system)

	void work(long round)
	{
		if (round) {
			NAMES(LOOK)
			RESULTS(LOOK)
		}
		CHECK(mkdir(folder, 0700) == 0);
		int fd = open(file, O_CREAT | O_RDWR | O_EXCL, 0640);
		CHECK(fd >= 0);
		CHECK_EQ(write(fd, "0123456789", 10), 10);
		CHECK(fstat(fd, &status_fd) == 0);
		CHECK_EQ(status_fd.st_size, 10);
		CHECK(fcntl(fd, F_SETLK, &lock) == 0);
		CHECK(fcntl(fd, F_GETLK, &lock) == 0);
		CHECK_EQ(lock.l_type, F_UNLCK);
		close(fd);
		CHECK(stat(file_again, &status) == 0);
		CHECK_EQ(status.st_ino, status_fd.st_ino);
		CHECK(rename(file, moved) == 0);
		CHECK_EQ(access(file, F_OK), -1);
		CHECK_EQ(errno, ENOENT);
		CHECK(access(moved_again, R_OK) == 0);
		CHECK(link(moved, linked) == 0);
		CHECK(symlink(moved, symbolic) == 0);
		CHECK_EQ(readlink(symbolic, target, sizeof target), strlen(moved));
		CHECK(memcmp(target, moved, strlen(moved)) == 0);
		/* Not beyond what the kernel has written. */
		CHECK_EQ(target[strlen(moved)], (char)(0xa0 + round));
		CHECK(realpath(symbolic, resolved) == resolved && strcmp(strrchr(resolved, '/'), "/moved") == 0);
		CHECK(fstatat(AT_FDCWD, symbolic, &status_at, AT_SYMLINK_NOFOLLOW) == 0);
		CHECK(S_ISLNK(status_at.st_mode));
		CHECK(statx(AT_FDCWD, linked, 0, STATX_SIZE, &extended) == 0);
		CHECK_EQ(extended.stx_size, 10);
		CHECK(statfs(folder, &system) == 0);
		CHECK(system.f_bsize > 0);
		CHECK(chmod(linked, 0600) == 0);
		CHECK(truncate(linked, 4) == 0);
		CHECK(utimensat(AT_FDCWD, linked, times, 0) == 0);
		CHECK(utimes(linked, old_times) == 0);
		FILE *stream = fopen(linked, mode);
		CHECK(stream != 0);
		CHECK_EQ(fgetc(stream), '0');
		fclose(stream);
		CHECK(mkdir(inner, 0700) == 0);
		CHECK_EQ(open(temporary, O_RDONLY), -1);
		fd = mkstemp(temporary);
		CHECK(fd >= 0);
		close(fd);
		CHECK(strcmp(strrchr(temporary, '/') + 1, "XXXXXX") != 0);
		CHECK(unlink(temporary) == 0);
		CHECK(mkdtemp(temporaries) == temporaries);
		CHECK(rmdir(temporaries) == 0);
		DIR *list = opendir(folder);
		CHECK(list != 0);
		int count = 0;
		while (readdir(list))
			count++;
		closedir(list);
		CHECK_EQ(count, 2 + 4);
		CHECK(chdir(folder) == 0);
		CHECK(getcwd(where, sizeof where) == where);
		CHECK(strcmp(where, folder) == 0);
		CHECK_EQ(getcwd(where_raw, 3) == 0, 1);
		CHECK_EQ(errno, ERANGE);
		CHECK(unlink(relative) == 0);
		CHECK(chdir("/") == 0);
		CHECK(unlink(linked) == 0 && unlink(symbolic) == 0 && rmdir(inner) == 0 && rmdir(folder) == 0);
	}

	for (long round = 0; round < ROUNDS; round++) {
		RESULTS(SPOIL)
		snprintf(folder, sizeof folder, "%s/files-%ld", parent, round);
		struct { char *name; const char *text; } names[] = {
			{ file, "file" }, { file_again, "file" }, { moved, "moved" }, { moved_again, "moved" },
			{ linked, "linked" }, { symbolic, "symbolic" }, { inner, "inner" },
			{ temporary, "XXXXXX" }, { temporaries, "t-XXXXXX" },
		};
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			snprintf(names[i].name, sizeof file, "%s/%s%s", folder, round ? "" : "/", names[i].text);
		strcpy(relative, round ? "./moved" : "moved");
		strcpy(mode, round ? "rb" : "r");
		times[0] = times[1] = (struct timespec){ 1000000 + round, 0 };
		old_times[0] = old_times[1] = (struct timeval){ 2000000 + round, 0 };
		lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 + round };
		CHECK_EQ(dist_thr_join(dist_thr_create_on(1, work, round)), 0);
		CHECK_EQ(status.st_size, 10);
	}
	printf("files agree\n");
	return 0;
}

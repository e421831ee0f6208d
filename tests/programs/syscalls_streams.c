/* syscalls_streams: stdio and the printf family, with what is printed and read in objects of another node.
 * Also with _FORTIFY_SOURCE, under which the compiler calls other functions. */
#include "syscalls.h"
#include <fcntl.h>
#include <stdarg.h>
#include <sys/uio.h>

enum { LARGE = 3 * 4096 + 77, ELEMENT = 1000 };

static int print_to(FILE *stream, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int count = vfprintf(stream, format, arguments);
	va_end(arguments);
	return count;
}

static int print_to_descriptor(int fd, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int count = vdprintf(fd, format, arguments);
	va_end(arguments);
	return count;
}

int main(void)
{
	char large[LARGE], long_text[LARGE], short_text[32], format[32], line[32];
	char got[LARGE], got_elements[4 * ELEMENT], got_line[LARGE];
	char buffer[8192];
#define GIVEN(X) X(large) X(long_text) X(short_text) X(format) X(line)
#define RESULTS(X) X(got) X(got_elements) X(got_line) X(buffer)

	void work(long round)
	{
		if (round) {
			GIVEN(LOOK)
			RESULTS(LOOK)
		}
		char *plain = malloc(2 * LARGE);
		FILE *file = tmpfile();
		CHECK(file != 0);
		CHECK(setvbuf(file, buffer, _IOFBF, sizeof buffer) == 0);
		CHECK_EQ(fwrite(large, 1, LARGE, file), LARGE);
		CHECK(fputs(long_text, file) >= 0);
		CHECK_EQ(fprintf(file, format, 7, 2.5, short_text), 2 + 4 + strlen(short_text));
		CHECK_EQ(fprintf(file, "%s%d%d%d%d%d%d%d", long_text, 1, 2, 3, 4, 5, 6, 7), LARGE - 1 + 7);
		CHECK_EQ(print_to(file, "%s%c", short_text, '!'), strlen(short_text) + 1);
		long end = ftell(file);
		rewind(file);
		CHECK_EQ(fread(got, 1, LARGE, file), LARGE);
		CHECK(is_filled(got, LARGE, 10 + round));
		CHECK(fread(plain, 1, LARGE - 1, file) == LARGE - 1 && memcmp(plain, long_text, LARGE - 1) == 0);
		CHECK(fread(plain, 1, 6, file) == 6 && memcmp(plain, "7 2.50", 6) == 0);
		CHECK(fread(plain, 1, strlen(short_text), file) == strlen(short_text));
		CHECK(memcmp(plain, short_text, strlen(short_text)) == 0);
		CHECK_EQ(fread(plain, 1, LARGE - 1 + 7, file), LARGE - 1 + 7);
		CHECK(memcmp(plain + LARGE - 1, "1234567", 7) == 0);
		CHECK(fgets(got_line, sizeof got_line, file) == got_line);
		CHECK_EQ(strlen(got_line), strlen(short_text) + 1);
		CHECK_EQ(ftell(file), end);
		/* The last element is not all there. */
		CHECK(fseek(file, 0, SEEK_SET) == 0);
		CHECK(ftruncate(fileno(file), 3 * ELEMENT + 10) == 0);
		CHECK_EQ(fread(got_elements, ELEMENT, 4, file), 3);
		CHECK(feof(file));
		CHECK(is_filled(got_elements, 3 * ELEMENT + 10, 10 + round));
		CHECK_EQ(got_elements[3 * ELEMENT + 10], (char)(0xa0 + round));
		CHECK_EQ(fread(got_elements, 0, 4, file), 0);
		fclose(file);

		int ends[2];
		CHECK(pipe(ends) == 0);
		CHECK_EQ(dprintf(ends[1], "%s%.1f", short_text, 0.5), strlen(short_text) + 3);
		CHECK_EQ(print_to_descriptor(ends[1], "%m"), strlen(strerror(errno)));
		CHECK_EQ(write(ends[1], long_text, LARGE - 1), LARGE - 1);
		close(ends[1]);
		file = fdopen(ends[0], "r");
		CHECK(fread(plain, 1, 2 * LARGE, file) == strlen(short_text) + 3 + strlen(strerror(errno)) + LARGE - 1);
		fclose(file);
		free(plain);

		CHECK_EQ(printf("%s:%ld %s %g %d %d %d %d\n", short_text, round, "text", 1.5, 1, 2, 3, 4),
			 strlen(short_text) + 1 + 1 + 1 + 4 + 1 + 3 + 8 + 1);
		CHECK(puts(line) >= 0);
		fflush(stdout);
	}

	for (long round = 0; round < ROUNDS; round++) {
		RESULTS(SPOIL)
		fill(large, LARGE, 10 + round);
		for (size_t i = 0; i < LARGE - 1; i++)
			long_text[i] = 'a' + (i + round) % 26;
		long_text[LARGE - 1] = 0;
		snprintf(short_text, sizeof short_text, "short text %ld", round);
		strcpy(format, round ? "%d %.2lf%s" : "%d %.2f%s");
		snprintf(line, sizeof line, "line %ld", round);
		CHECK_EQ(dist_thr_join(dist_thr_create_on(1, work, round)), 0);
		CHECK(is_filled(got, LARGE, 10 + round));
	}
	return 0;
}

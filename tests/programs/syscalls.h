/* For the programs of system calls: objects of node 0, which a thread on node 1 passes to the kernel before it has
 * touched them (round 0), or when it has read-only copies (round 1). */
#define _GNU_SOURCE
#include "check.h"

enum { ROUNDS = 2 };

/* Reads each page of an object. */
static void look(const volatile char *object, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		(void)object[i];
	(void)object[bytes - 1];
}

#define LOOK(object) look((const char *)&(object), sizeof(object));
/* Other bytes than the round before, so that node 1 has no copies. */
#define SPOIL(object) memset((void *)&(object), 0xa0 + round, sizeof(object));

static char byte_of(size_t i, int seed)
{
	return (char)(i * 31 + i / 4096 + seed);
}

static void fill(char *bytes, size_t count, int seed)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = byte_of(i, seed);
}

static int is_filled(const char *bytes, size_t count, int seed)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != byte_of(i, seed))
			return 0;
	return 1;
}

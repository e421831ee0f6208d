/* Maps more than there is: a TiB that may not be touched, one that isn't, and 32 GiB of which two pages are. With an argument: so many
   MiB are written too. Then it waits until standard input ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char *mapped(size_t bytes, int rights)
{
    char *memory = mmap(0, bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        exit(3);
    return memory;
}

char *forbidden, *empty, *sparse, *last, *full;

__attribute__((noinline)) int wait_for_end(void)
{
    puts("mapped");
    fflush(stdout);
    return getchar();
}

int main(int count, char **arguments)
{
    const size_t gib = 1ul << 30;
    forbidden = mapped(1024 * gib, PROT_NONE);
    empty = mapped(1024 * gib, PROT_READ | PROT_WRITE);
    sparse = mapped(32 * gib, PROT_READ | PROT_WRITE);
    last = sparse + 32 * gib - 4096;
    strcpy(sparse, "the first page");
    strcpy(last, "the last page");
    if (count > 1) {
        const size_t bytes = strtoul(arguments[1], 0, 10) << 20;
        full = mapped(bytes, PROT_READ | PROT_WRITE);
        memset(full, 1, bytes);
    }
    wait_for_end();
    puts("goes on");
    return 0;
}

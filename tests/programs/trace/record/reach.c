/* `take` is called with pointers to a file's last page in memory, to the page behind its end, and all over the tracer's own memory; how often
   for each is written out. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct piece {
    long first;
    char text[24];
    long second;
};

volatile long seen;

__attribute__((noipa)) void take(struct piece *piece) { seen += piece != 0; }
__attribute__((noipa)) void own(struct piece *piece) { seen += piece != 0; }

int main(void)
{
    const int file = memfd_create("reach", 0);
    if (file < 0 || ftruncate(file, 4096 + 100))
        return 2;
    char *memory = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        return 3;
    struct piece *last = (struct piece *)(memory + 4096);
    last->first = 11;
    strcpy(last->text, "in the last page");
    last->second = 22;
    for (int round = 0; round < 50; round++) {
        take(last);
        take((struct piece *)(memory + 2 * 4096));
        /* From the last page into what is behind it. */
        take((struct piece *)(memory + 2 * 4096 - 16));
    }
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long begins[64], ends[64];
    int count = 0, calls = 0, named = 0;
    while (count < 64 && fgets(line, sizeof line, maps)) {
        const int is_named = strstr(line, "libumbel_trace") || strstr(line, ".live");
        /* What it has without a name lies in small mappings. */
        if (sscanf(line, "%lx-%lx", &begins[count], &ends[count]) == 2 && (is_named || !strchr(line, '/'))) {
            count++;
            named += is_named;
        }
    }
    fclose(maps);
    for (int n = 0; n < count; n++) {
        const unsigned long step = (ends[n] - begins[n]) / 40 & ~7ul;
        for (unsigned long at = begins[n]; at < ends[n]; at += step < 8 ? 8 : step, calls++)
            own((struct piece *)at);
        own((struct piece *)(ends[n] - 8));
        calls++;
    }
    printf("%d %d %d\n", calls, named > 3, seen == calls + 150);
    return 0;
}

// A function of two pointers, to memory that is there, and that is not.
#define _GNU_SOURCE
#include <sys/mman.h>
#include "burst.h"

struct object { long numbers[8]; };

// The call has pointers; the return has nothing, and costs the same each time.
__attribute__((noipa)) void two(struct object *first, struct object *second) { __asm__ volatile("" ::"r"(first), "r"(second)); }

__attribute__((noipa)) void one(long *number, long *none) { __asm__ volatile("" ::"r"(number), "r"(none)); }

PLAIN int main(int count, char **arguments) {
  long calls = count > 1 ? atol(arguments[1]) : 1000;
  static struct object there;
  void *no_address = (void *)(1ul << 63);
  char *unmapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *gone = unmapped, *gone_too = unmapped + 512;
  struct kind kinds[] = {{"null", 0}, {"there", 0}, {"no_address", 0}, {"gone", 0}, {"gone_twice", 0},
                         {"number_null", 0}, {"number", 0}};
  for (int burst = 0; burst < BURSTS; burst++) {
    BURST(&kinds[0], 1, calls, two(NULL, NULL));
    BURST(&kinds[1], 1, calls, two(&there, NULL));
    BURST(&kinds[2], 1, calls, two(no_address, NULL));
    BURST(&kinds[3], 1, calls / 10, two(gone, NULL));
    BURST(&kinds[4], 1, calls / 10, two(gone, gone_too));
    BURST(&kinds[5], 1, calls, one(NULL, NULL));
    BURST(&kinds[6], 1, calls, one(there.numbers, NULL));
  }
  print(kinds, 7);
  return 0;
}

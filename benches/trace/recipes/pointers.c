// A function of two pointers, to memory that is there, and that is not.
#define _GNU_SOURCE
#include <sys/mman.h>
#include "burst.h"

struct object { long numbers[8]; };

// The call has pointers; the return has nothing, and costs the same each time.
__attribute__((noipa)) void two(struct object *first, struct object *second) { __asm__ volatile("" ::"r"(first), "r"(second)); }

PLAIN int main(int count, char **arguments) {
  long calls = count > 1 ? atol(arguments[1]) : 1000;
  static struct object there;
  void *no_address = (void *)(1ul << 63);
  char *unmapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *gone = unmapped, *gone_too = unmapped + 512;
  LEAST("null", 1, calls, two(NULL, NULL));
  LEAST("there", 1, calls, two(&there, NULL));
  LEAST("no_address", 1, calls, two(no_address, NULL));
  LEAST("gone", 1, calls / 10, two(gone, NULL));
  LEAST("gone_twice", 1, calls / 10, two(gone, gone_too));
  return 0;
}

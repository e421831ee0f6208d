// A tree of calls that is the same each time, and that counts itself in a shared file, from inside the functions: who kills it
// knows to within one event how far it came. Arguments: FILE END CALLS. After CALLS calls it comes to its end by itself:
// segv, abort, term, exit, kill, memory; or never.
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "trace.h"

#define DEPTH 9

static volatile struct counts {
  uint64_t entered, left;
} *counts;
static uint64_t calls_max;
static const char *end;

UNSEEN static void use_up_memory(void) {
  struct rlimit limit = {96 << 20, 96 << 20};
  setrlimit(RLIMIT_AS, &limit);
  for (size_t bytes = 1 << 20;; bytes = bytes > 64 ? bytes / 2 : bytes) {
    volatile char *room;
    while ((room = malloc(bytes))) room[0] = 1;
    if (bytes <= 64) _exit(77);
  }
}

UNSEEN static void come_to_an_end(void) {
  volatile char *volatile nowhere = (char *)8;
  if (!strcmp(end, "segv")) *nowhere = 0;
  if (!strcmp(end, "abort")) abort();
  if (!strcmp(end, "term")) kill(getpid(), SIGTERM);
  if (!strcmp(end, "exit")) _exit(3);
  if (!strcmp(end, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(end, "memory")) use_up_memory();
  for (;;) pause();
}

UNSEEN static inline __attribute__((always_inline)) void in(void) {
  if (++counts->entered == calls_max) come_to_an_end();
}

UNSEEN static inline __attribute__((always_inline)) void out(void) { counts->left++; }

APART void third(int depth);
APART void second(int depth);

APART void first(int depth) {
  in();
  if (depth > 1) second(depth - 1), third(depth - 2);
  out();
}

void second(int depth) {
  in();
  if (depth > 0) third(depth - 1);
  out();
}

void third(int depth) {
  in();
  if (depth > 0) first(depth - 1), second(depth - 1);
  out();
}

UNSEEN int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int file = open(argv[1], O_RDWR);
  counts = mmap(0, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (counts == MAP_FAILED) return 2;
  end = argv[2];
  calls_max = strtoull(argv[3], 0, 10);
  if (!calls_max) calls_max = UINT64_MAX;
  for (;;) first(DEPTH);
}

// The least that records anything: per thread a ring of 16-byte records in memory, overwritten for ever, never read.
#include <stdint.h>
#include <x86intrin.h>

#define RECORDS (1 << 16)

struct record {
  uint64_t time, address;
};

static __thread struct record ring[RECORDS] __attribute__((tls_model("initial-exec")));
static __thread uint32_t next __attribute__((tls_model("initial-exec")));

static inline void record(uint64_t address) {
  struct record *record = &ring[next++ % RECORDS];
  record->time = __rdtsc();
  record->address = address;
}

void __cyg_profile_func_enter(void *function, void *site) {
  (void)site;
  record((uint64_t)function << 1);
}

void __cyg_profile_func_exit(void *function, void *site) {
  (void)site;
  record((uint64_t)function << 1 | 1);
}

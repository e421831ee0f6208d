// Counts the calls of each function of every process of a job, by means of its own: what a recording is compared with.
//
// gcc -O2 -fPIC -shared count.c -o count.so; UMBEL_COUNTS=FOLDER LD_PRELOAD=count.so PROG. One file for each executed image in
// the folder: its forks add to the same. A file is a table of `struct entry`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRIES (1 << 15)
#define MODULE_BYTES 232

struct entry {
  _Atomic uint64_t address;
  _Atomic uint64_t calls;
  _Atomic uint64_t offset; // in the module
  char module[MODULE_BYTES];
};

static struct entry *entries;
static _Atomic int is_open;

__attribute__((no_instrument_function)) static void open_table(void) {
  static _Atomic int taken;
  if (atomic_exchange(&taken, 1)) return;
  const char *folder = getenv("UMBEL_COUNTS");
  if (!folder) return;
  char path[4096];
  for (int n = 0; n < 10000; n++) {
    snprintf(path, sizeof path, "%s/%d.%d", folder, (int)getpid(), n);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) continue;
    if (ftruncate(file, ENTRIES * sizeof(struct entry)) == 0) {
      void *at = mmap(0, ENTRIES * sizeof(struct entry), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (at != MAP_FAILED) entries = at;
    }
    close(file);
    break;
  }
  atomic_store_explicit(&is_open, 1, memory_order_release);
}

// Names the module of a new entry: two threads write the same.
static void name(struct entry *entry, void *function) {
  Dl_info info;
  if (!dladdr(function, &info) || !info.dli_fname) return;
  // The program itself is called by its argument 0, whatever that is.
  if (!strcmp(info.dli_fname, program_invocation_name)) {
    if (readlink("/proc/self/exe", entry->module, MODULE_BYTES - 1) < 0) return;
  } else {
    strncpy(entry->module, info.dli_fname, MODULE_BYTES - 1);
  }
  atomic_store(&entry->offset, (uint64_t)function - (uint64_t)info.dli_fbase);
}

void __cyg_profile_func_enter(void *function, void *site) {
  (void)site;
  if (!atomic_load_explicit(&is_open, memory_order_acquire)) open_table();
  if (!entries) return;
  uint64_t address = (uint64_t)function;
  for (uint64_t at = address * 0x9e3779b97f4a7c15u >> 49;; at = (at + 1) % ENTRIES) {
    struct entry *entry = &entries[at];
    uint64_t there = atomic_load_explicit(&entry->address, memory_order_relaxed);
    if (there == 0) {
      if (atomic_compare_exchange_strong(&entry->address, &there, address)) name(entry, function), there = address;
    }
    if (there == address) {
      atomic_fetch_add_explicit(&entry->calls, 1, memory_order_relaxed);
      return;
    }
  }
}

void __cyg_profile_func_exit(void *function, void *site) { (void)function, (void)site; }

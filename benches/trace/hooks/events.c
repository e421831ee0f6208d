// Counts the calls and returns of a program of one thread: into the file that UMBEL_BENCH_EVENTS names.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long long events;

void __cyg_profile_func_enter(void *function, void *site) { (void)function, (void)site, events++; }
void __cyg_profile_func_exit(void *function, void *site) { (void)function, (void)site, events++; }

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("UMBEL_BENCH_EVENTS");
  int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
  if (file < 0) return;
  dprintf(file, "%llu\n", events);
  close(file);
}

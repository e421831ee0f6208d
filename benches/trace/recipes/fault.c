// What a read costs at least where nothing is, whoever guards it: a handler that only sends the thread on, in a program that isn't traced.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "burst.h"

PLAIN static void send_on(int number, siginfo_t *about, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  registers[REG_RIP] = registers[REG_RCX];
}

PLAIN static inline void look(const void *address) {
  __asm__ volatile("lea 1f(%%rip), %%rcx\n\tmov (%0), %%rdx\n1:" ::"r"(address) : "rcx", "rdx", "memory");
}

PLAIN int main(int count, char **arguments) {
  long calls = count > 1 ? atol(arguments[1]) : 1000;
  void *unmapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_sigaction = send_on, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  struct kind kinds[] = {{"fault", 0}};
  for (int burst = 0; burst < BURSTS; burst++) BURST(&kinds[0], 1, calls / 10, look(unmapped));
  print(kinds, 1);
  return 0;
}

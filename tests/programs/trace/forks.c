// A child of fork goes on in the middle of the calls; a grandchild too.
#include <sys/wait.h>
#include <unistd.h>

#include "trace.h"

APART void before(void) { __asm__ volatile(""); }
APART void in_parent(void) { __asm__ volatile(""); }
APART void in_child(void) { __asm__ volatile(""); }
APART void in_grandchild(void) { __asm__ volatile(""); }

APART int wait_for(pid_t child) {
  int status;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

APART int split(void) {
  pid_t child = fork();
  if (child) return wait_for(child);
  in_child();
  child = fork();
  if (child) _exit(wait_for(child));
  in_grandchild();
  return 0;
}

int main(void) {
  before();
  int status = split();
  in_parent();
  return status;
}

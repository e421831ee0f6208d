// A process that becomes another program, and a child that does.
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trace.h"

extern char **environ;

APART void last(void) { __asm__ volatile(""); }
APART void second(void) { __asm__ volatile(""); }

APART int become(const char *name, char *what) {
  char *arguments[] = {(char *)name, what, 0};
  return execv(name, arguments);
}

APART int start(const char *name) {
  char *arguments[] = {(char *)name, "spawned", 0};
  pid_t child;
  int status;
  if (posix_spawn(&child, name, 0, 0, arguments, environ)) return 1;
  waitpid(child, &status, 0);
  return become(name, "again");
}

int main(int argc, char **argv) {
  if (argc == 1) return start(argv[0]);
  if (!strcmp(argv[1], "spawned")) second();
  if (!strcmp(argv[1], "again")) last();
  return 0;
}

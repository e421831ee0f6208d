// gcc: -ldl
// A library is loaded, called, unloaded, and loaded again.
#include <dlfcn.h>
#include <stdio.h>

#include "trace.h"

APART int use(void) {
  void *library = dlopen("./loads_library.so", RTLD_NOW);
  if (!library) return fprintf(stderr, "%s\n", dlerror());
  int (*function)(int) = (int (*)(int))dlsym(library, "in_library");
  int value = function(2);
  dlclose(library);
  return value - 6;
}

int main(void) { return use() + use(); }

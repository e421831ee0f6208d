// Opens and closes a module that only the program's own RUNPATH finds.
#include <dlfcn.h>
#include <stdlib.h>
#include "called.h"

UNTRACED void plugin_called(unsigned long long count) { called_count += count; }

TRACED int main(int count, char **arguments) {
    CALLED;
    int rounds = count > 1 ? atoi(arguments[1]) : 1;
    for (int round = 0; round < rounds; round++) {
        void *module = dlopen("libplugin.so", RTLD_NOW);
        if (!module) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        int (*plugin)(int) = (int (*)(int))dlsym(module, "plugin");
        if (plugin(round) != round + 1) return 2;
        dlclose(module);
    }
    called_print();
    return 0;
}

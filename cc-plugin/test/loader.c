/* loader.c - uses module.c linked (argument: none) or loaded at run time (argument: its path). */
#include <dlfcn.h>
#include "check.h"

extern int module_work(int n) __attribute__((weak));

int main(int argc, char **argv)
{
	int (*work)(int) = module_work;
	int x = 1;
	void thread(long k) { x += k; }
	if (argc > 1) {
		void *module = dlopen(argv[1], RTLD_NOW);
		if (!module) {
			puts(dlerror());
			return 1;
		}
		work = (int (*)(int))dlsym(module, "module_work");
	}
	ONE_THREAD(thread, 1);
	CHECK(work(6) == 1006);
	ONE_THREAD(thread, 1);
	CHECK(x == 3);
	return failures != 0;
}

/* umbel_crt.c - registers one module's tables with the runtime; linked into every program and shared object.
 *
 * The linker defines __start_SECTION and __stop_SECTION per module if they are hidden; weak, because a module
 * may have none of a table.
 */
#include "umbel_abi.h"

#define BOUND __attribute__((weak, visibility("hidden")))
extern const struct umbel_object __start_umbel_objects[] BOUND, __stop_umbel_objects[] BOUND;
extern const struct umbel_frame __start_umbel_frames[] BOUND, __stop_umbel_frames[] BOUND;
extern const struct umbel_function __start_umbel_functions[] BOUND, __stop_umbel_functions[] BOUND;
extern const struct umbel_global __start_umbel_globals[] BOUND, __stop_umbel_globals[] BOUND;
extern const char __ehdr_start[] BOUND;

/* The thread's shadow stacks; the program's definition serves all its shared objects. */
__thread struct umbel_self umbel_self;

static struct umbel_self *self(void)
{
	return &umbel_self;
}

static struct umbel_module module;

/* 101: before the program's own constructors, which may already run code with objects. */
static void __attribute__((constructor(101))) enter(void)
{
	module = (struct umbel_module) {
		UMBEL_ABI_VERSION,
		__start_umbel_objects, __stop_umbel_objects,
		__start_umbel_frames, __stop_umbel_frames,
		__start_umbel_functions, __stop_umbel_functions,
		__start_umbel_globals, __stop_umbel_globals,
		__ehdr_start,
		self,
	};
	umbel_register(&module);
}

static void __attribute__((destructor(101))) leave(void)
{
	umbel_unregister(&module);
}

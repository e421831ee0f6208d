/* double.c - runtime double: the contract of umbel_abi.h over pthreads, for the plugin's own tests only.
 *
 * One process, one address space, nothing is ever moved.  It checks what the real runtime cannot see: that
 * marks nest, that every object is released, that a stub is given back, that records are well formed.
 */
#define _GNU_SOURCE
#include "umbel_abi.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SLOTS = 1 << 20, STUBS = 4096 };
#define PAGES_BYTES (1ul << 32)

typedef unsigned long thread_id;
struct thread {
	void *code, *chain;
	long arg;
	pthread_t handle;
	unsigned long small, pages; /* of the father, when it was created */
	struct thread *next;
};

__thread struct umbel_self umbel_self __attribute__((tls_model("initial-exec")));
static __thread struct thread *children;
static __thread char *pages_base;
static __thread unsigned long stub_top;
static __thread int stub_numbers[STUBS];
static const struct umbel_module *modules[16];
static int module_count;
unsigned long double_objects, double_stubs; /* made so far, all threads */

static void fail(const char *what)
{
	fprintf(stderr, "runtime double: %s\n", what);
	abort();
}

void umbel_register(const struct umbel_module *module)
{
	if (module->abi_version != UMBEL_ABI_VERSION)
		fail("another version of the contract");
	for (const struct umbel_object *o = module->objects; o < module->objects_end; o++)
		if (!o->name || !o->function || !o->type || !o->align || !o->line)
			fail("malformed object record");
	for (const struct umbel_function *f = module->functions; f < module->functions_end; f++)
		if (!f->code || !f->name || (f->has_chain && !f->frame))
			fail("malformed function record");
	for (const struct umbel_frame *f = module->frames; f < module->frames_end; f++) {
		if (!f->function || !f->size || (f->chain_offset >= 0) != (f->parent != 0))
			fail("malformed frame record");
		for (unsigned long i = 0; i < f->field_count; i++) {
			const struct umbel_field *field = &f->fields[i];
			int with_ref = field->kind == UMBEL_FIELD_SHARED || field->kind == UMBEL_FIELD_STUB
				|| field->kind == UMBEL_FIELD_DESCRIPTOR;
			if (field->offset + field->size > f->size || with_ref != (field->ref != 0)
			    || (field->kind == UMBEL_FIELD_CHAIN && (long)field->offset != f->chain_offset))
				fail("malformed field record");
		}
	}
	if (module_count < 16)
		modules[module_count++] = module;
}

void umbel_unregister(const struct umbel_module *module)
{
	for (int i = 0; i < module_count; i++)
		if (modules[i] == module)
			modules[i] = modules[--module_count];
}

/* ---- shadow stack ---- */

static void *reserve(unsigned long bytes)
{
	void *p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		fail("no address space");
	return p;
}

static void attach(void)
{
	umbel_self.small_base = (unsigned long)reserve(SLOTS * 64ul);
	umbel_self.small_objects = reserve(SLOTS * 8ul);
	umbel_self.view_stride = 64;
	umbel_self.small_limit = SLOTS;
	umbel_self.shared_small = umbel_self.shared_pages = 0;
	pages_base = reserve(PAGES_BYTES);
}

void *__umbel_alloc_slow(const struct umbel_object *object)
{
	if (umbel_self.small_limit)
		fail("out of slots: are marks given back?");
	attach();
	return __umbel_alloc(object);
}

void *__umbel_alloc_pages(const struct umbel_object *object, unsigned long bytes)
{
	if (!umbel_self.small_limit)
		attach();
	if (!(object->flags & UMBEL_OBJECT_VLA) && object->size != bytes)
		fail("size differs from the record's");
	unsigned long align_pages = object->align > 4096 ? object->align / 4096 : 1;
	unsigned long first = umbel_self.pages;
	while ((unsigned long)(pages_base + first * 4096) % (align_pages * 4096))
		first++;
	umbel_self.pages = first + (bytes + 4095) / 4096 + !bytes;
	if (umbel_self.pages * 4096 > PAGES_BYTES)
		fail("out of pages: are marks given back?");
	__atomic_fetch_add(&double_objects, 1, __ATOMIC_RELAXED);
	return pages_base + first * 4096;
}

static int join_children_since(unsigned long small, unsigned long pages)
{
	int joined = 0;
	while (children && (children->small > small || children->pages > pages)) {
		struct thread *t = children;
		children = t->next;
		pthread_join(t->handle, 0);
		free(t);
		joined++;
	}
	umbel_self.shared_small = children ? children->small : 0;
	umbel_self.shared_pages = children ? children->pages : 0;
	return joined;
}

void __umbel_leave_slow(unsigned long small, unsigned long pages)
{
	join_children_since(small, pages);
}

/* ---- stubs ---- */

__attribute__((visibility("hidden"))) struct { void *code, *chain; } double_stub_data[STUBS];
extern char double_stub_code[] __attribute__((visibility("hidden")));
__asm__(".text\n.balign 64\n.hidden double_stub_code\ndouble_stub_code:\n.set i, 0\n.rept 4096\n.balign 32\nendbr64\n"
	"movq double_stub_data+16*i+8(%rip), %r10\njmp *double_stub_data+16*i(%rip)\n.set i, i+1\n.endr\n.balign 32\n");
static pthread_mutex_t stub_lock = PTHREAD_MUTEX_INITIALIZER;

unsigned long __umbel_stub_mark(void)
{
	return stub_top;
}

void *__umbel_stub_make(void *code, void *chain)
{
	pthread_mutex_lock(&stub_lock);
	int i = 0;
	while (i < STUBS && double_stub_data[i].code)
		i++;
	if (i == STUBS)
		fail("out of stubs: are marks given back?");
	double_stub_data[i].code = code;
	double_stub_data[i].chain = chain;
	double_stubs++;
	pthread_mutex_unlock(&stub_lock);
	stub_numbers[stub_top++] = i;
	return double_stub_code + 32 * i;
}

void __umbel_stub_leave(unsigned long mark)
{
	if (mark > stub_top)
		fail("stub mark above the top");
	while (stub_top > mark)
		double_stub_data[stub_numbers[--stub_top]].code = 0;
}

/* ---- threads ---- */

static void *start(void *data)
{
	struct thread *t = data;
	__builtin_call_with_static_chain(((void (*)(long))t->code)(t->arg), t->chain);
	join_children_since(0, 0);
	if (umbel_self.small || umbel_self.pages || stub_top)
		fail("a thread ended with objects or stubs");
	return 0;
}

static thread_id spawn(void *code, void *chain, long arg)
{
	static thread_id last;
	struct thread *t = calloc(1, sizeof *t);
	if (!umbel_self.small_limit)
		attach();
	*t = (struct thread) { code, chain, arg, 0, umbel_self.small, umbel_self.pages, children };
	umbel_self.shared_small = t->small;
	umbel_self.shared_pages = t->pages;
	children = t;
	if (pthread_create(&t->handle, 0, start, t))
		fail("no thread");
	return ++last;
}

thread_id __umbel_thr_create(const struct umbel_function *function, void *descriptor, int node, long arg)
{
	(void)node;
	if (function->has_chain != (descriptor != 0))
		fail("a descriptor without a chain, or the reverse");
	if (!descriptor)
		return spawn(function->code, 0, arg);
	void **pair = (void **)((unsigned long)descriptor & ~1ul);
	if (pair[1] != function->code)
		fail("descriptor and record name different code");
	return spawn(pair[1], pair[0], arg);
}

thread_id umbel_thr_create(int node, void (*fn)(), long arg)
{
	(void)node;
	unsigned long offset = (char *)fn - double_stub_code;
	if (offset >= 32ul * STUBS)
		return spawn((void *)fn, 0, arg);
	/* Escaped functions have a record too: a runtime must be able to name this code elsewhere. */
	void *code = double_stub_data[offset / 32].code;
	for (int i = 0; i < module_count; i++)
		for (const struct umbel_function *f = modules[i]->functions; f < modules[i]->functions_end; f++)
			if (f->code == code)
				return spawn(code, double_stub_data[offset / 32].chain, arg);
	fail("a stub's function has no record");
	return 0;
}

int dist_thr_join_all(void)
{
	int joined = 0;
	while (children) {
		struct thread *t = children;
		children = t->next;
		pthread_join(t->handle, 0);
		free(t);
		joined++;
	}
	umbel_self.shared_small = umbel_self.shared_pages = 0;
	return joined;
}

static void __attribute__((destructor)) at_end(void)
{
	if (getenv("UMBEL_DOUBLE_STRICT") && (umbel_self.small || umbel_self.pages || stub_top))
		fail("the program ended with objects or stubs");
}

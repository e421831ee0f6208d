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

enum { SLOTS = 1 << 16, STUBS = 4096 }; /* few, so that a test that leaks them runs out */
#define PAGES_BYTES (1ul << 28)

typedef unsigned long thread_id;
struct thread {
	void *code, *chain; /* the father's frame */
	const struct umbel_frame *frame;
	pthread_barrier_t copied;
	long arg;
	pthread_t handle;
	unsigned long small, pages; /* of the father, when it was created */
	struct thread *next;
};

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

static void place_globals(const struct umbel_module *module);

void umbel_register(const struct umbel_module *module)
{
	if (module->abi_version != UMBEL_ABI_VERSION)
		fail("another version of the contract");
	for (const struct umbel_object *o = module->objects; o < module->objects_end; o++)
		if (!o->name || !o->type || !o->align || !o->line || (!o->function && !(o->flags & UMBEL_OBJECT_GLOBAL)))
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
	for (const struct umbel_global *g = module->globals; g < module->globals_end; g++)
		if (!g->object || !(g->object->flags & UMBEL_OBJECT_GLOBAL) || !g->initial || !g->pointer)
			fail("malformed global record");
	place_globals(module);
	if (module_count < 16)
		modules[module_count++] = module;
}

void umbel_unregister(const struct umbel_module *module)
{
	for (int i = 0; i < module_count; i++)
		if (modules[i] == module)
			modules[i] = modules[--module_count];
}

int dist_thr_join_all(void);

/* ---- shadow stack ---- */

/* Memory of the window, where the inline check looks for it. */
static void *reserve(unsigned long bytes)
{
	static unsigned long next = 1ul << UMBEL_WINDOW_SHIFT;
	unsigned long place = __atomic_fetch_add(&next, (bytes + 4095) / 4096 * 4096 + 4096, __ATOMIC_RELAXED);
	void *p = mmap((void *)place, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		fail("no address space");
	return p;
}

/* Somewhere else than the initial values: a use that misses the pointer is seen. */
static void place_globals(const struct umbel_module *module)
{
	for (const struct umbel_global *g = module->globals; g < module->globals_end; g++)
		*g->pointer = reserve(g->object->size + 1);
	for (const struct umbel_global *g = module->globals; g < module->globals_end; g++)
		if (g->fix)
			g->fix();
	for (const struct umbel_global *g = module->globals; g < module->globals_end; g++) {
		memcpy(*g->pointer, g->initial, g->object->size);
		memset(g->initial, 0x5a, g->object->size);
	}
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

static void join_children_since(unsigned long small, unsigned long pages)
{
	while (children && (children->small > small || children->pages > pages)) {
		struct thread *t = children;
		children = t->next;
		pthread_join(t->handle, 0);
		free(t);
	}
	umbel_self.shared_small = children ? children->small : 0;
	umbel_self.shared_pages = children ? children->pages : 0;
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

/* A thread works on copies of the frames of its static chain, made while the father waits in spawn. */
static void *copy_frame(const struct umbel_frame *frame, void *original)
{
	char *copy = malloc(frame->size);
	memcpy(copy, original, frame->size);
	for (unsigned long i = 0; i < frame->field_count; i++) {
		const struct umbel_field *field = &frame->fields[i];
		const struct umbel_function *function = field->ref;
		void **words = (void **)(copy + field->offset);
		switch (field->kind) {
		case UMBEL_FIELD_CHAIN:
			words[0] = copy_frame(frame->parent, words[0]);
			break;
		case UMBEL_FIELD_DESCRIPTOR:
			words[0] = copy;
			if (words[1] != function->code)
				fail("descriptor and record name different code");
			break;
		case UMBEL_FIELD_STUB:
			words[0] = __umbel_stub_make(function->code, copy);
			break;
		case UMBEL_FIELD_NONLOCAL_GOTO:
		case UMBEL_FIELD_FRAME_BASE:
			memset(words, 0x5a, field->size);
			break;
		}
	}
	return copy;
}

static void free_frames(const struct umbel_frame *frame, char *copy)
{
	if (frame->parent)
		free_frames(frame->parent, *(void **)(copy + frame->chain_offset));
	memset(copy, 0x5a, frame->size);
	free(copy);
}

static void *start(void *data)
{
	struct thread *t = data;
	void *chain = 0;
	if (t->frame)
		chain = copy_frame(t->frame, t->chain);
	pthread_barrier_wait(&t->copied);
	__builtin_call_with_static_chain(((void (*)(long))t->code)(t->arg), chain);
	dist_thr_join_all();
	__umbel_stub_leave(0);
	if (umbel_self.small || umbel_self.pages)
		fail("a thread ended with objects");
	if (chain)
		free_frames(t->frame, chain);
	return 0;
}

static thread_id spawn(void *code, const struct umbel_frame *frame, void *chain, long arg)
{
	static thread_id last;
	struct thread *t = calloc(1, sizeof *t);
	if (!umbel_self.small_limit)
		attach();
	t->code = code;
	t->frame = frame;
	t->chain = chain;
	t->arg = arg;
	t->next = children;
	umbel_self.shared_small = t->small = umbel_self.small;
	umbel_self.shared_pages = t->pages = umbel_self.pages;
	children = t;
	pthread_barrier_init(&t->copied, 0, 2);
	if (pthread_create(&t->handle, 0, start, t))
		fail("no thread");
	pthread_barrier_wait(&t->copied);
	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

thread_id __umbel_thr_create(const struct umbel_function *function, void *descriptor, int node, long arg)
{
	(void)node;
	if (function->has_chain != (descriptor != 0))
		fail("a descriptor without a chain, or the reverse");
	if (!descriptor)
		return spawn(function->code, 0, 0, arg);
	void **pair = (void **)((unsigned long)descriptor & ~1ul);
	if (pair[1] != function->code)
		fail("descriptor and record name different code");
	return spawn(pair[1], function->frame, pair[0], arg);
}

thread_id umbel_thr_create(int node, void (*fn)(), long arg)
{
	(void)node;
	unsigned long offset = (char *)fn - double_stub_code;
	if (offset >= 32ul * STUBS)
		return spawn((void *)fn, 0, 0, arg);
	/* Escaped functions have a record too: a runtime must be able to name this code elsewhere. */
	void *code = double_stub_data[offset / 32].code;
	for (int i = 0; i < module_count; i++)
		for (const struct umbel_function *f = modules[i]->functions; f < modules[i]->functions_end; f++)
			if (f->code == code)
				return spawn(code, f->frame, double_stub_data[offset / 32].chain, arg);
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

/* ---- operations ---- */

volatile unsigned char umbel_remote_active;
unsigned long double_operations[10]; /* by kind */
const volatile void *double_strengthened[64];
unsigned double_strengthen_count;

unsigned long __umbel_operate(void *address, unsigned kind, unsigned width, unsigned long operand,
			      unsigned long expected)
{
	unsigned long old = 0, value;
	if (kind > UMBEL_NAND)
		fail("an operation of no kind");
	__atomic_fetch_add(&double_operations[kind], 1, __ATOMIC_RELAXED);
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	memcpy(&old, address, width);
	switch (kind) {
	case UMBEL_LOAD: value = old; break;
	case UMBEL_COMPARE_EXCHANGE: value = old == expected ? operand : old; break;
	case UMBEL_ADD: value = old + operand; break;
	case UMBEL_SUB: value = old - operand; break;
	case UMBEL_AND: value = old & operand; break;
	case UMBEL_OR: value = old | operand; break;
	case UMBEL_XOR: value = old ^ operand; break;
	case UMBEL_NAND: value = ~(old & operand); break;
	default: value = operand;
	}
	memcpy(address, &value, width);
	pthread_mutex_unlock(&lock);
	return old;
}

void __umbel_strengthen(const volatile void *address)
{
	double_strengthened[__atomic_fetch_add(&double_strengthen_count, 1, __ATOMIC_RELAXED) % 64] = address;
}

static int main_is_void;

/* What the runtime does too: the status of such a main is what happens to be in a register. */
void __umbel_main_is_void(void)
{
	main_is_void = 1;
}

static void __attribute__((destructor)) at_end(void)
{
	if (getenv("UMBEL_DOUBLE_STRICT") && (umbel_self.small || umbel_self.pages || stub_top))
		fail("the program ended with objects or stubs");
	if (main_is_void) {
		fflush(stdout);
		_Exit(0);
	}
}

/* umbel_abi.h - the contract between the GCC plugin and libumbel.
 *
 * `umbel cc` includes this file before every translation unit.  The plugin emits the tables below
 * into four sections and calls the functions at the end; the runtime reads the tables and owns
 * the functions.  Nothing else passes between them.  Programs use umbel.h, never this file.
 *
 * A change of a structure or of a function's meaning changes UMBEL_ABI_VERSION; umbel_crt.o hands
 * the version to the runtime when a module is registered, and a mismatch ends the program.
 */
#if !defined UMBEL_ABI_H && !defined __ASSEMBLER__
#define UMBEL_ABI_H

 #pragma GCC system_header

#define UMBEL_ABI_VERSION 2

#ifdef __cplusplus
extern "C" {
#endif

/* Sharable object as declared in the source.  Section "umbel_objects".  12 words of 8 bytes. */
struct umbel_object {
	const char *name;       /* "a" */
	const char *function;   /* the declaring function: "main" */
	const char *type;       /* as written: "int [3][100]" */
	const char *attribute;  /* words of __attribute__((shadow(...))), its own and its members', or 0 */
	unsigned long size;     /* bytes; 0 for a variable-length array */
	unsigned long align;    /* bytes */
	unsigned long flags;    /* UMBEL_OBJECT_* */
	unsigned long element;  /* size of an array's outermost element, bytes; else 0 */
	const char *file;
	unsigned long line;
	unsigned long reserved[2]; /* [0]: outermost elements per unit, 0: not subdivided */
};

enum {
	UMBEL_OBJECT_VLA = 1, UMBEL_OBJECT_PARAMETER = 2, UMBEL_OBJECT_ADDRESS_TAKEN = 4,
	UMBEL_OBJECT_VOLATILE = 8, UMBEL_OBJECT_ATOMIC = 16, UMBEL_OBJECT_CONST = 32, UMBEL_OBJECT_ARRAY = 64,
	/* Sequentially consistent: it or a part of it is volatile or _Atomic, is an operand of an atomic builtin,
	 * or has the attribute "sequential".  An attribute "weak" decides for a volatile one. */
	UMBEL_OBJECT_SEQUENTIAL = 128,
	UMBEL_OBJECT_OPERATIONS = 256, /* its atomic read-modify-writes are compiled as __umbel_operate */
	UMBEL_OBJECT_GLOBAL = 512,     /* a global or static local */
	UMBEL_OBJECT_HEAP = 1024       /* made by the runtime; reserved[1] is where its objects are allocated */
};

/* One field of a FRAME record as tree-nested laid it out.  5 words. */
struct umbel_field {
	unsigned long offset;   /* bytes from the frame's start */
	unsigned long size;     /* bytes */
	unsigned long kind;     /* UMBEL_FIELD_* */
	const void *ref;        /* SHARED: its umbel_object; DESCRIPTOR, STUB: the umbel_function; else 0 */
	const char *name;
};

enum {
	UMBEL_FIELD_VALUE,      /* captured by value: copied to the thread's private frame */
	UMBEL_FIELD_SHARED,     /* pointer to a sharable object, at its canonical address */
	UMBEL_FIELD_CHAIN,      /* address of the parent's frame: patched */
	UMBEL_FIELD_STUB,       /* its first word is a stub's address (below): made anew in a private copy */
	UMBEL_FIELD_DESCRIPTOR, /* {chain, code}: both patched */
	UMBEL_FIELD_NONLOCAL_GOTO, /* jump buffer: poisoned, may not leave the thread */
	UMBEL_FIELD_FRAME_BASE  /* debug information only */
};

/* FRAME record of one function.  Section "umbel_frames".  6 words. */
struct umbel_frame {
	const char *function;
	unsigned long size;     /* bytes */
	long chain_offset;      /* offset of the CHAIN field, -1 if none */
	const struct umbel_frame *parent; /* frame that the CHAIN field points to, or 0 */
	unsigned long field_count;
	const struct umbel_field *fields;
};

/* Function that may run as a thread.  Section "umbel_functions".  6 words. */
struct umbel_function {
	void *code;
	const char *name;
	const struct umbel_frame *frame; /* frame its static chain points to; 0 for an ordinary function */
	unsigned long has_chain;         /* 0 when the optimizer dropped the chain: then any chain will do */
	unsigned long reserved[2];
};

/* Shared global or static local.  Section "umbel_globals".  4 words.  The runtime finds an address for it that
 * is the same on every node, copies `initial` there on node 0, and stores the address in *pointer before
 * constructors of a priority over 101 run.  Alone: *pointer = initial. */
struct umbel_global {
	const struct umbel_object *object;
	void *initial;          /* its initial value, in ordinary memory of each node */
	void **pointer;         /* through which the program reaches it */
	void (*fix)(void);      /* or 0: call once when every pointer of the module is stored and before initial values
				   are copied; puts addresses of shared globals into initial values and tables */
};

struct umbel_self;

/* Bounds of one module's tables; umbel_crt.o calls this from a constructor and its twin from a destructor. */
struct umbel_module {
	unsigned long abi_version;
	const struct umbel_object *objects, *objects_end;
	const struct umbel_frame *frames, *frames_end;
	const struct umbel_function *functions, *functions_end;
	const struct umbel_global *globals, *globals_end;
	const void *base;       /* the module's ELF header: addresses travel as (module, offset from here) */
	struct umbel_self *(*self)(void); /* the calling thread's umbel_self, which umbel_crt.o defines */
};
extern void umbel_register(const struct umbel_module *module);
extern void umbel_unregister(const struct umbel_module *module);

/* ---- the shadow stack -------------------------------------------------------------------------
 * Each thread has two stacks in the window, both moved only by the thread itself:
 *   small  objects up to 64 bytes: slot s lies on page s % 16 of its group of 16 pages and in view
 *          s / 16 % 64, so neighbours are consecutive pages of one view and no two objects share a
 *          virtual page (MultiView);
 *   pages  everything else, in whole pages.
 * Alone on one node view_stride is 64: the views fold into one and slots are dense.
 */
struct umbel_self {
	unsigned long small;         /* next free slot */
	unsigned long small_limit;   /* 0 until the thread is attached: the first use takes the slow path */
	unsigned long pages;         /* next free page */
	unsigned long shared_small;  /* slots below this may be known to other threads or nodes */
	unsigned long shared_pages;  /* the same for pages */
	unsigned long small_base;    /* address of slot 0 */
	unsigned long view_stride;   /* bytes from a slot's address to the same page's next slot */
	const struct umbel_object **small_objects; /* what lives in each slot; read by the service thread */
};
extern __thread struct umbel_self umbel_self __attribute__((tls_model("initial-exec")));

extern void *__umbel_alloc_slow(const struct umbel_object *object);
/* Object of more than 64 bytes, of an alignment over 64, or of variable length: `bytes` long.  Not malloc: pages
 * are given again after __umbel_leave, of which the compiler doesn't know that it frees. */
extern void *__umbel_alloc_pages(const struct umbel_object *object, unsigned long bytes)
	__attribute__((assume_aligned(64)));
extern void __umbel_leave_slow(unsigned long small, unsigned long pages);

/* Marks at the owner's entry; handed to __umbel_leave on every way out. */
static __inline__ __attribute__((always_inline, artificial, no_instrument_function)) unsigned long __umbel_small(void)
{
	return umbel_self.small;
}

static __inline__ __attribute__((always_inline, artificial, no_instrument_function)) unsigned long __umbel_page(void)
{
	return umbel_self.pages;
}

/* Object of at most 64 bytes and an alignment of at most 64. */
static __inline__ __attribute__((always_inline, artificial, no_instrument_function)) void *__umbel_alloc(const struct umbel_object *object)
{
	unsigned long s = umbel_self.small;
	if (__builtin_expect(s >= umbel_self.small_limit, 0))
		return __umbel_alloc_slow(object);
	umbel_self.small = s + 1;
	umbel_self.small_objects[s] = object;
	return (void *)(umbel_self.small_base + ((s >> 10) << 16) + ((s & 15) << 12)
			+ ((s >> 4) & 63) * umbel_self.view_stride);
}

/* Releases everything above the marks.  If a thread that can reach any of it was created, waits for
 * that thread first (termination dependency) and takes remote copies back. */
static __inline__ __attribute__((always_inline, artificial, no_instrument_function)) void __umbel_leave(unsigned long small, unsigned long pages)
{
	if (__builtin_expect(small < umbel_self.shared_small || pages < umbel_self.shared_pages, 0))
		__umbel_leave_slow(small, pages);
	umbel_self.small = small;
	umbel_self.pages = pages;
}

/* ---- threads -----------------------------------------------------------------------------------
 * The plugin redirects umbel_thr_create(node, f, arg) with a function named directly to this; a nested
 * function's descriptor is {chain, code} (gcc's tag bit may be set), an ordinary function's is 0. */
extern unsigned long __umbel_thr_create(const struct umbel_function *function, void *descriptor, int node, long arg);

/* ---- atomic operations and volatile accesses ----------------------------------------------------- */

/* Every arena of the window lies in [1 << 45, 1 << 46), and nothing else does. */
#define UMBEL_WINDOW_SHIFT 45

/* Not 0: some object's operations are done at its home, by message.  Compiled read-modify-writes of an object
 * with UMBEL_OBJECT_OPERATIONS, and all accesses to a "remote" one, ask for it first. */
extern volatile unsigned char umbel_remote_active;

enum {
	UMBEL_LOAD, UMBEL_STORE, UMBEL_EXCHANGE, UMBEL_COMPARE_EXCHANGE, UMBEL_ADD, UMBEL_SUB, UMBEL_AND, UMBEL_OR,
	UMBEL_XOR, UMBEL_NAND
};

/* Runs one operation of 1, 2, 4 or 8 bytes where it must run: here, or at the home.  Returns the value before it,
 * zero-extended. */
extern unsigned long __umbel_operate(void *address, unsigned kind, unsigned width, unsigned long operand,
				     unsigned long expected) __attribute__((cold, nothrow));

/* Called before an atomic or volatile access to the window whose object the compiler doesn't know: makes the
 * unit sequentially consistent for the rest of its life.  Quick after the first time. */
extern void __umbel_strengthen(const volatile void *address) __attribute__((cold, nothrow));

/* Called first in a main that returns nothing: its exit status is 0. */
extern void __umbel_main_is_void(void);

/* ---- stubs: addresses of nested functions without executable stacks ------------------------------
 * A pool of constant stubs in libumbel's text; stub i loads chain and code from a data table.  Marks work
 * as above: take a mark at entry of a function that makes stubs, give back in its TRY_FINALLY. */
extern unsigned long __umbel_stub_mark(void);
extern void *__umbel_stub_make(void *code, void *chain);
extern void __umbel_stub_leave(unsigned long mark);

#ifdef __cplusplus
}
#endif

#endif

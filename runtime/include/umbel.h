/* umbel.h - distributed threads and their synchronization for GNU C.
 *
 * `umbel cc` includes this header before every C file; a program may also include it itself.
 *
 * A thread runs a function, usually a nested one: the locals of the enclosing functions that it uses
 * are shared among all threads that can see them, on whichever node they run.  Plain C reads and
 * writes them, by C11's rules (section "consistency" below).  Pointers to such objects may be stored and
 * passed; their addresses are the same on every node.
 *
 * Not shared: malloc'd memory, and globals and static locals without __attribute__((shadow)).  Each node has
 * its own copy of those.  A pointer to such memory means nothing on another node, also where it lies in a
 * shared object: argv's strings, say.  stdin belongs to node 0.
 *
 * Constructors run on every node, main on node 0 when all of them are done: a constructor that changes a
 * shared global does so once per node.  A shared library with shared globals must be linked, not dlopen'ed.
 *
 * Threads are bound to their creator (termination dependency): a function does not return before the
 * threads that can reach its locals have ended, and no thread ends before its children.  main is a
 * thread.  exit() ends the whole job at once, from any node.
 *
 * Processes: a process made by fork has a copy of the node's private memory and none of the shared objects.  What
 * it needs of them is to be copied before fork; touching one, or calling a function of this header but
 * dist_thr_node, dist_thr_self and dist_node_count, ends it with a message and status 120.  (Forked from a program
 * that runs on one node, it has copies of all.)  Its end is not the job's.  vfork, posix_spawn, system, popen and
 * exec work as ever; what they start runs alone.  A node that calls exec itself leaves the job, which then ends.
 *
 * Signals: SIGSEGV and SIGBUS are taken for faults of the shared memory first; what is not, reaches the program's own
 * handlers as ever, set by sigaction or signal before or after.  Where faults are signals (`umbel doctor`: guard,
 * mprotect) a thread that blocks them, or SIGTRAP, goes on getting them, though it is told what it set; a handler of
 * theirs on a stack of its own (SA_ONSTACK) needs room for ours, some KiB.  Don't change masks by system calls of
 * your own, nor in a ucontext_t.
 *
 * Functions that return int return 0, or an error number from <errno.h> as POSIX threads do; errno is
 * left alone.  All may be called from any thread on any node, but not from signal handlers.
 */
#ifndef UMBEL_H
#define UMBEL_H

#pragma GCC system_header

#include "umbel_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- threads ------------------------------------------------------------------------------------ */

/* Name of a thread, unique in the job.  0 names no thread: a failed creation. */
typedef unsigned long dist_thr_t;

/* What a thread runs: a function of one integer or pointer parameter, nested or not. */
#ifdef __cplusplus
typedef void (*umbel_thr_fn)(long);
#else
typedef void (*umbel_thr_fn)();
#endif

/* dist_thr_t dist_thr_create(void (*fn)(T), T arg)      T: any integer or pointer type
 * Starts fn(arg) as a child of the calling thread, on the next node in turn (round robin).
 * A pointer argument should point to a sharable object; a local whose address is written in the call is one
 * (dist_thr_create (f, &x)).  The address of anything else means nothing on another node.
 * Returns the thread's name, or 0 with errno set: EAGAIN (the node has no room for another thread, or
 * the system refused one), EINVAL (fn can't be named on another node), E2BIG (chain of frames too long).
 * Each frame of fn's static chain is copied at this moment: captured locals are shared, values the
 * compiler keeps in the frame (bounds of variable-length arrays) are as they are now. */
#define dist_thr_create(fn, arg) umbel_thr_create(-1, (umbel_thr_fn)(fn), (long)(arg))

/* The same on a given node, 0 to dist_node_count() - 1.  EINVAL: there is no such node. */
#define dist_thr_create_on(node, fn, arg) umbel_thr_create((node), (umbel_thr_fn)(fn), (long)(arg))

extern unsigned long umbel_thr_create(int node, umbel_thr_fn fn, long arg);

/* Waits until the thread has ended.  A thread may be joined once, by any thread; one that is never
 * joined is collected when its creator ends.
 * ESRCH: no such thread, or already joined; EDEADLK: the caller itself, its creator, or main.  Threads
 * that join an older ancestor, or each other in a larger circle, wait for ever. */
extern int dist_thr_join(dist_thr_t thread);

/* Waits until every thread that the caller created, and has not joined yet, has ended.  Always 0. */
extern int dist_thr_join_all(void);

/* The calling thread's name. */
extern dist_thr_t dist_thr_self(void);

/* Ends the calling thread after its children, as a return from its function would.  In main: ends the
 * job with status 0 when all threads have ended. */
extern void dist_thr_exit(void) __attribute__((noreturn));

/* Rank of the node that the caller runs on, 0 to dist_node_count() - 1.  main runs on node 0. */
extern int dist_thr_node(void);

/* Nodes in the job: what `umbel run -n` said, 1 when the program was started on its own. */
extern int dist_node_count(void);

/* ---- synchronization ---------------------------------------------------------------------------
 * An object is known by its address: declare it as a local that the threads capture (or inside a
 * struct), or as a static object, which then means the same object on every node.  All-zero is a valid
 * initial state of mutexes and condition variables, and of semaphores with value 0; the objects are
 * opaque and must not be copied.  Waiting threads are served in the order of their arrival.
 * EINVAL from any of them: not such an object, or an argument out of range. */

typedef union { char opaque[40]; long align; } dist_mutex_t;
typedef union { char opaque[32]; long align; } dist_sem_t;
typedef union { char opaque[32]; long align; } dist_barrier_t;
typedef union { char opaque[48]; long align; } dist_cond_t;

#define DIST_MUTEX_INITIALIZER { { 0 } }
#define DIST_COND_INITIALIZER { { 0 } }

/* Returned by dist_barrier_wait to one of the threads (-1, as PTHREAD_BARRIER_SERIAL_THREAD). */
#define DIST_BARRIER_SERIAL_THREAD (-1)

/* Mutex: error-checking, not recursive.  attr must be 0 (EINVAL otherwise), here and below.
 * init, destroy: EBUSY while held or waited for.  lock: EDEADLK if the caller holds it.
 * trylock: EBUSY if anybody does.  unlock: EPERM if the caller does not hold it. */
extern int dist_mutex_init(dist_mutex_t *mutex, const void *attr);
extern int dist_mutex_lock(dist_mutex_t *mutex);
extern int dist_mutex_trylock(dist_mutex_t *mutex);
extern int dist_mutex_unlock(dist_mutex_t *mutex);
extern int dist_mutex_destroy(dist_mutex_t *mutex);

/* Counting semaphore, 0 to 2147483647.  Unlike sem_wait(3) these return the error number.
 * `pshared` is ignored: every semaphore is shared.  post: EOVERFLOW.  trywait: EAGAIN when 0.
 * destroy: EBUSY while waited for. */
extern int dist_sem_init(dist_sem_t *sem, int pshared, unsigned value);
extern int dist_sem_wait(dist_sem_t *sem);
extern int dist_sem_trywait(dist_sem_t *sem);
extern int dist_sem_post(dist_sem_t *sem);
extern int dist_sem_getvalue(dist_sem_t *sem, int *value);
extern int dist_sem_destroy(dist_sem_t *sem);

/* Barrier for `count` threads, 1 or more; usable again at once.  wait: one thread gets
 * DIST_BARRIER_SERIAL_THREAD, the others 0.  destroy: EBUSY while waited for. */
extern int dist_barrier_init(dist_barrier_t *barrier, const void *attr, unsigned count);
extern int dist_barrier_wait(dist_barrier_t *barrier);
extern int dist_barrier_destroy(dist_barrier_t *barrier);

/* Condition variable.  wait: releases the mutex and waits as one step, and holds it again on return;
 * EPERM if the caller does not hold it.  No spurious wake-ups, but check the condition in a loop all
 * the same: another thread may run first.  destroy: EBUSY while waited for. */
extern int dist_cond_init(dist_cond_t *cond, const void *attr);
extern int dist_cond_wait(dist_cond_t *cond, dist_mutex_t *mutex);
extern int dist_cond_signal(dist_cond_t *cond);
extern int dist_cond_broadcast(dist_cond_t *cond);
extern int dist_cond_destroy(dist_cond_t *cond);

/* ---- consistency ---------------------------------------------------------------------------------
 * Shared objects obey C11: in a program without data races every load sees what it would see if all threads
 * ran on one machine.  How an object is kept depends on its declaration:
 *
 *   weak (most objects)   Several nodes may write it at once, each to a copy of its own.  A store is visible to a
 *                         thread on another node after the two have synchronized: by one of the functions above
 *                         (unlock before lock, post before wait, signal before wake-up, a barrier), by creation
 *                         or end of a thread, or by a store to an atomic or volatile object that the other one
 *                         has seen.  It may be visible earlier.  Threads that write different bytes of one object
 *                         never disturb each other; threads that race for the same bytes leave one of the values.
 *   sequential            All nodes agree on one order of all accesses, plain ones included.  So is an object that
 *                         is volatile or _Atomic or has such a member, whose address an atomic builtin is given
 *                         (__atomic_fetch_add (&x, ...)), or that says __attribute__((shadow ("sequential"))).
 *                         An atomic or volatile access through a pointer makes the object that it finds sequential
 *                         from then on.
 *
 * volatile thus does here what many programs expect of it; shadow ("weak") makes a volatile object weak.  Objects
 * alone, with one node, cost nothing either way.  `umbel run --consistency sequential` makes every object
 * sequential, to see whether a program has races.
 *
 * Words of the attribute, several separated by commas:  sequential, weak;  unit(N): N elements of an array are kept
 * together;  and how copies are kept current, which is otherwise found out by observation (auto): invalidate (a
 * write takes the others' copies), migratory (who reads is about to write), read_only, update (weak only: what was
 * written is sent to the copies), remote (atomic operations go to the object's home).
 *
 * System calls read and write shared objects as the calling thread would: what they store are its stores.  Not so
 * where the kernel keeps the buffer beyond the call (O_DIRECT, io_uring, vmsplice): use private memory there, or
 * dist_pin.
 * Where the kernel cannot wait for an object (with every fault backend but device and syscall: umbel run
 * --fault-backend), the C library's functions copy through private memory: reading and writing, sockets and messages, names of files and
 * what is known of them, stdio, waits, time, processes, syscall().  Not these, which fail with EFAULT unless the
 * object happens to be here, or is pinned: system calls made without the C library; aio_*, io_submit, semctl,
 * getcontext and its kin; ioctl whose request has not the size of its argument, or that leads on to other memory
 * (SIOCGIFCONF); syscall() by rare numbers.  There, a wrong pointer into shared memory ends the program as a load
 * would, instead of EFAULT.  pthread objects in shared memory are for one node's threads at best: use dist_mutex_t. */

/* Makes everything that this node's threads wrote before visible on every node, and returns when it is.  For
 * programs that tell each other of data by other means than threads, synchronization objects, and atomic or
 * volatile objects: through a file or a socket, say. */
extern void dist_flush(void);

/* Fetches the objects in these bytes and keeps them here, for reading or also for writing, until dist_unpin: no
 * access of theirs faults, and the kernel and devices may use the memory.  Meanwhile other nodes' threads wait that
 * want to write them, or (writable) to use them at all; so pin for a short time.  A thread that waits, or that pins,
 * while it has something pinned waits for ever if another does the same the other way round: pin one range at a time,
 * or all threads in the same order, for writing if anything is to be written.  Whole pages are pinned: of an object
 * up to 2048 bytes it alone; of larger ones also what else is on their first and last page.  What is pinned is
 * sequential from then on (see above) if other nodes may use it at the same time.  Ends with the object's life: unpin
 * before a free, and before the end of its scope.
 * Private memory needs no pin: 0.  EINVAL: no objects are there; or they are pinned 100 times. */
extern int dist_pin(const void *bytes, unsigned long count, int writable);

/* Ends one pin of the same bytes.  EINVAL: they are not pinned. */
extern int dist_unpin(const void *bytes, unsigned long count);

/* ---- the shared heap ---------------------------------------------------------------------------
 * Objects for every thread on every node, until they are freed.  A pointer to one may be stored anywhere
 * in shared memory and followed on any node.  Each object of up to 2048 bytes is kept consistent on its own,
 * as a variable is; a larger one in pages of 4096 bytes.  An object belongs to the node that allocates it: its
 * bytes are there first, and its directory entry stays there; build what a node's threads use most on that node.
 *
 * Every object is aligned to 16 bytes (up to 2048 bytes: to its size rounded up to a power of two from 64 on)
 * and all zero at first, whichever function made it.  Sizes range from 0 (an object of its own, without bytes)
 * to what the node's share of addresses holds, which is 16 TiB divided among the nodes; memory that is not
 * touched costs nothing.  These functions return 0 with errno set: ENOMEM (no room, or more than 64 TiB asked
 * for), EINVAL (an argument is wrong).
 *
 * Allocating and freeing take no message and no wait where the object is at home: some hundred nanoseconds.
 * The first use of a new object is a page fault, once for up to 16 neighbours.
 *
 * What is wrong with a call ends the job with status 120 and a message that names the object's size, where it
 * was allocated, and who freed it, where: freeing an object twice, from whichever nodes; freeing what is not an
 * object's first address; resizing what is not live.  So does using a freed object on any node, once its home
 * has taken it back, which it does within about a millisecond; up to then, what is read and written is lost.
 * Places are given to new objects late, when 65536 others of their size were freed after them, so that stale
 * pointers are found.  In a program on one node a freed object of up to 2048 bytes reads as zero; writing to it
 * is found when its place is used again.  Using a larger one ends the program as above (Linux 6.13 and newer; with
 * SIGSEGV if the program has a handler of its own for it). */

/* An object of this size. */
extern void *dist_malloc(unsigned long bytes);

/* An array of `count` elements of this size.  ENOMEM also if the product is too large for an integer. */
extern void *dist_calloc(unsigned long count, unsigned long bytes);

/* An object at a multiple of `align`, a power of two of any size: EINVAL otherwise. */
extern void *dist_aligned_alloc(unsigned long align, unsigned long bytes);

/* An object with a policy, in the words of __attribute__((shadow("..."))) separated by spaces or commas, for
 * example "sequential migratory".  EINVAL: a word is unknown, or they contradict one another.  dist_realloc
 * keeps the policy. */
extern void *dist_malloc_policy(unsigned long bytes, const char *policy);

/* `count` objects that travel together: whoever uses one has them all, in one message.  Sets objects[i] to the
 * one of sizes[i] bytes and returns objects[0]; dist_free of that frees them all, the others can't be freed or
 * resized alone.  A group of more than 2048 bytes in all, each rounded up to 16, travels in pages.
 * EINVAL: count is 0. */
extern void *dist_malloc_group(unsigned long count, const unsigned long sizes[], void *objects[]);

/* Changes an object's size and keeps its bytes up to the smaller one; bytes beyond them are not necessarily
 * zero.  Returns its address, a new one unless the object fits where it is; a new object belongs to the calling
 * node, and the old one is freed.  dist_realloc(0, n) is dist_malloc(n).  After an error the old object is as
 * it was.  No other thread may use the object meanwhile. */
extern void *dist_realloc(void *object, unsigned long bytes);

/* Ends an object of any node; does not wait.  dist_free(0) does nothing. */
extern void dist_free(void *object);

/* Messages and statistics name allocations by file and line.  The functions themselves, called by pointer or from
 * another language, name them by function and offset. */
#define UMBEL_TEXT_OF(x) #x
#define UMBEL_TEXT(x) UMBEL_TEXT_OF(x)
#define UMBEL_HERE __FILE__ ":" UMBEL_TEXT(__LINE__)
#define dist_malloc(bytes) umbel_malloc((bytes), UMBEL_HERE)
#define dist_calloc(count, bytes) umbel_calloc((count), (bytes), UMBEL_HERE)
#define dist_aligned_alloc(align, bytes) umbel_aligned_alloc((align), (bytes), UMBEL_HERE)
#define dist_malloc_policy(bytes, policy) umbel_malloc_policy((bytes), (policy), UMBEL_HERE)
#define dist_malloc_group(count, sizes, objects) umbel_malloc_group((count), (sizes), (objects), UMBEL_HERE)
#define dist_realloc(object, bytes) umbel_realloc((object), (bytes), UMBEL_HERE)
#define dist_free(object) umbel_free((object), UMBEL_HERE)

extern void *umbel_malloc(unsigned long bytes, const char *site)
	__attribute__((malloc, alloc_size(1), warn_unused_result));
extern void *umbel_calloc(unsigned long count, unsigned long bytes, const char *site)
	__attribute__((malloc, alloc_size(1, 2), warn_unused_result));
extern void *umbel_aligned_alloc(unsigned long align, unsigned long bytes, const char *site)
	__attribute__((malloc, alloc_size(2), alloc_align(1), warn_unused_result));
extern void *umbel_malloc_policy(unsigned long bytes, const char *policy, const char *site)
	__attribute__((malloc, alloc_size(1), warn_unused_result));
extern void *umbel_malloc_group(unsigned long count, const unsigned long sizes[], void *objects[], const char *site);
extern void *umbel_realloc(void *object, unsigned long bytes, const char *site)
	__attribute__((alloc_size(2), warn_unused_result));
extern void umbel_free(void *object, const char *site);

#ifdef __cplusplus
}
#endif
#endif

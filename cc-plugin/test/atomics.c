/* atomics.c - atomic and volatile accesses: which are checked, which go by call, and that both give the same. */
#include <stdlib.h>
#include "check.h"

extern unsigned long double_operations[10] __attribute__((node_local));
extern unsigned double_strengthen_count __attribute__((node_local));
extern const volatile void *double_strengthened[64] __attribute__((node_local));

static unsigned strengthened(void)
{
	unsigned count = double_strengthen_count;
	double_strengthen_count = 0;
	return count;
}

static unsigned long operations(unsigned kind)
{
	unsigned long count = double_operations[kind];
	double_operations[kind] = 0;
	return count;
}

/* ---- through pointers ---- */

struct node { volatile int flag; int plain; volatile unsigned bits : 3; };
static int __attribute__((noipa)) through_volatile(volatile int *p) { return *p + p[1]; }
static void __attribute__((noipa)) through_atomic(_Atomic int *p) { *p = 1; (*p)++; }
static int __attribute__((noipa)) through_builtin(int *p) { return __atomic_fetch_add(p, 1, __ATOMIC_RELAXED); }
static int __attribute__((noipa)) through_member(struct node *n) { n->plain++; n->bits = 5; return n->flag + n->bits; }
static int __attribute__((noipa)) plain_only(struct node *n) { return ++n->plain; }
static long __attribute__((noipa)) generic(struct node *n, long *out)
{
	long v = 7;
	__atomic_store(out, &v, __ATOMIC_SEQ_CST);
	__sync_synchronize();
	return n->plain;
}

static int global;
static volatile int global_flag;

static void pointers(void)
{
	int own[2] = { 1, 2 };
	_Atomic int own_atomic = 0;
	struct node n = { 0, 0, 0 };
	/* Ordinary memory: checked, never handed to the runtime. */
	CHECK(through_volatile(own) == 3 && (through_atomic(&own_atomic), own_atomic == 2));
	CHECK(through_builtin(own) == 1 && through_member(&n) == 5 && plain_only(&n) == 2);
	CHECK(!strengthened());
	__atomic_fetch_add(&global, 1, __ATOMIC_RELAXED);
	global_flag++;
	CHECK(global == 1 && global_flag == 1 && !strengthened());

	int weak[2] __attribute__((shadow)) = { 3, 4 };
	CHECK(through_volatile(weak) == 7 && strengthened() == 2);
	CHECK(through_builtin(weak) == 3 && strengthened() == 1);
	_Atomic int atomic __attribute__((shadow)) = 0;
	through_atomic(&atomic);
	CHECK(strengthened() == 2 && atomic == 2 && !strengthened());
	struct node shared __attribute__((shadow)) = { 1, 0, 0 };
	CHECK(through_member(&shared) == 6 && strengthened() == 3 && plain_only(&shared) == 2 && !strengthened());
	long far[600] __attribute__((shadow));
	CHECK(generic(&n, &far[599]) == 2 && strengthened() == 1 && far[599] == 7);
	CHECK(double_strengthened[0] || 1);
}

/* ---- objects ---- */

static const struct umbel_object *object(const char *name)
{
	extern const struct umbel_object __start_umbel_objects[] __attribute__((visibility("hidden"))),
		__stop_umbel_objects[] __attribute__((visibility("hidden")));
	for (const struct umbel_object *o = __start_umbel_objects; o < __stop_umbel_objects; o++)
		if (!strcmp(o->name, name))
			return o;
	printf("no object %s\n", name);
	abort();
}

typedef int __attribute__((shadow("migratory"))) moving;
struct said { int a; struct { long b __attribute__((shadow("sequential"))); } inner; } __attribute__((shadow("read_only")));

static void flags(void)
{
	int builtin_operand = 0, cast = 0, none = 0, elements[4] = { 0 };
	struct node member = { 0, 0, 0 };
	struct { int a; struct { _Atomic short deep[2]; } b[3]; } nested = { 0 };
	_Atomic int counters[8] = { 0 };
	_Atomic double real_number = 0;
	volatile int overruled __attribute__((shadow("weak"))) = 0;
	int words __attribute__((shadow("weak, update"), shadow("weak"))) = 0;
	int remote_word __attribute__((shadow("remote"))) = 0;
	moving typed = 0;
	struct said said = { 0 };
	int rows[8][8] __attribute__((shadow("unit(2) invalidate")));
	void thread(long k)
	{
		__atomic_fetch_add(&builtin_operand, k, __ATOMIC_RELAXED);
		__sync_fetch_and_add(elements + 1, 1);
		*(volatile int *)&cast = 1;
		none += member.plain + nested.a + overruled + words + remote_word + typed + said.a;
		counters[k & 7]++;
		real_number = 1;
		rows[1][1] = 0;
	}
	ONE_THREAD(thread, 1);
	CHECK(!strengthened());
	unsigned long both = UMBEL_OBJECT_SEQUENTIAL | UMBEL_OBJECT_OPERATIONS;
	for (struct { const char *name; unsigned long flags; } *c, cases[] = {
		{ "builtin_operand", UMBEL_OBJECT_SEQUENTIAL }, { "elements", UMBEL_OBJECT_SEQUENTIAL },
		{ "cast", UMBEL_OBJECT_SEQUENTIAL }, { "none", 0 }, { "member", UMBEL_OBJECT_SEQUENTIAL },
		{ "nested", UMBEL_OBJECT_SEQUENTIAL }, { "counters", both }, { "real_number", UMBEL_OBJECT_SEQUENTIAL },
		{ "overruled", 0 }, { "words", 0 }, { "remote_word", UMBEL_OBJECT_OPERATIONS }, { "typed", 0 },
		{ "said", UMBEL_OBJECT_SEQUENTIAL }, { "rows", 0 }, { 0, 0 } }, *_ = c = cases; (void)_, c->name; c++) {
		if ((object(c->name)->flags & both) != c->flags)
			printf("%s: flags %lu\n", c->name, object(c->name)->flags), failures++;
	}
	CHECK(!strcmp(object("words")->attribute, "weak,update"));
	CHECK(!strcmp(object("typed")->attribute, "migratory"));
	CHECK(!strcmp(object("said")->attribute, "read_only,sequential"));
	CHECK(object("rows")->reserved[0] == 2 && !strcmp(object("rows")->attribute, "unit(2),invalidate"));
	CHECK(!object("none")->reserved[0] && !object("none")->attribute);
}

/* ---- operations ---- */

struct results { long long v[64]; int count; };
#define R(x) (r->v[r->count++] = (long long)(x))

static void __attribute__((noinline)) operate(struct results *r)
{
	_Atomic int i = 5;
	_Atomic signed char c = -1;
	_Atomic unsigned long l = 1;
	_Atomic(_Bool) b = 0;
	_Atomic short a[4] = { 1, 2, 3, 4 };
	int remote __attribute__((shadow("remote"))) = 10;
	double real __attribute__((shadow("remote"))) = 1.5;
	struct { char tag; int *pointer; float f; unsigned low : 4; } record __attribute__((shadow("remote"))) = { 1, 0, 2, 3 };
	int expected = 0;
	void thread(long k)
	{
		R(i++), R(++i), R(i--), R(--i), R(i += 7), R(i -= 2), R(i |= 64), R(i &= ~1), R(i ^= 3);
		R(i *= 3), R(i <<= 1), R(i /= 5), R(i);
		R(c++), R(c -= 100), R(c ^= 0x55), R(--c);
		R(l += -1ul), R(l--), R(l), R(b |= 1), R(b), R(a[k & 3]++), R(a[2] += a[1]);
		R(__atomic_nand_fetch(&i, 12, __ATOMIC_SEQ_CST)), R(__atomic_fetch_nand(&i, 3, __ATOMIC_SEQ_CST));
		R(__atomic_exchange_n(&i, 77, __ATOMIC_ACQ_REL)), R(i);
		int want = 78;
		R(__atomic_compare_exchange_n(&i, &want, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)), R(want);
		R(__atomic_compare_exchange_n(&i, &want, 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)), R(want), R(i);
		R(__sync_bool_compare_and_swap(&remote, 10, 11)), R(__sync_val_compare_and_swap(&remote, 10, 12));
		R(__sync_lock_test_and_set(&remote, 5)), R(remote), (__sync_lock_release(&remote), R(remote));
		R(__atomic_test_and_set(&record.tag, 5)), __atomic_clear(&record.tag, 5), R(record.tag);
		remote = 3;
		R(remote + 1);
		real *= 2;
		R(real * 10);
		record.tag = -3;
		record.pointer = &expected;
		record.f += record.tag;
		record.low = 9;
		R(record.tag), R(record.pointer == &expected), R(record.f), R(record.low);
		remote = abs(-9);
		R(remote), R(remote++), R(--remote);
	}
	ONE_THREAD(thread, 1);
}

static void results(void)
{
	struct results here = { { 0 }, 0 }, there = { { 0 }, 0 };
	operate(&here);
	for (int k = 0; k < 10; k++)
		CHECK(!operations(k));
	umbel_remote_active = 1;
	operate(&there);
	umbel_remote_active = 0;
	CHECK(here.count == there.count);
	for (int i = 0; i < here.count; i++)
		if (here.v[i] != there.v[i])
			printf("result %d: %lld by builtin, %lld by call\n", i, here.v[i], there.v[i]), failures++;
	for (int k = 0; k < 10; k++)
		CHECK(operations(k));
	CHECK(!strengthened());
}

int main(void)
{
	pointers();
	flags();
	results();
	return failures != 0;
}

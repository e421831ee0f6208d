/* globals.c - shared globals and static locals: every use, initial values and addresses in them. */
#include <stdlib.h>
#include "check.h"

extern unsigned double_strengthen_count __attribute__((node_local));

struct node { int value; struct node *next; int *outside; };
int counter = 5;
static int hidden = 7;
long table[3][4] = { { 1, 2 }, { 3 }, { 0, 0, 0, 9 } };
volatile int flag;
_Atomic long total = 100;
static char text[] = "text";
struct node second = { 2, 0, &hidden };
struct node first = { 1, &second, &counter };
struct node *list = &first;
int *const fixed = &counter;
static int *const pointers[] = { &hidden, &counter, 0, [5 ... 7] = &hidden };
long *inside = &table[2][3];
static unsigned long as_number = (unsigned long)&counter;
static struct { char *start, *end; } span = { text, text + 4 };
int *literal = (int []) { 4, 5, 6 };
static struct { int n; char tail[]; } flexible = { 3, "abc" };
const int constant = 3;
static __thread int own = 1;
static int here __attribute__((node_local)) = 1;
static int main_only = 1;
extern int other, other_array[];
extern int *other_pointer;
int later;
int tentative;
static double real __attribute__((shadow("update"))) = 2.5;
int bits_and[2] __attribute__((aligned(128)));
extern int increment_other(void), main_only_address(int *);

static int static_local(int add)
{
	static int calls = 10;
	static int *address = &calls;
	static const struct { int *p; } wrapped = { &counter };
	calls += add;
	CHECK(address == &calls && wrapped.p == &counter);
	static void *const labels[] = { &&odd, &&even };
	static void *jumps[] = { &&odd, &&even };
	goto *jumps[!(add & 1)];
even:
	goto *labels[0];
odd:
	return *address;
}

static int __attribute__((noinline)) uses(int k)
{
	int *locals[] = { &counter, &hidden, (int *)&flag };
	struct node copy = first;
	static int (*recurse)(int) = uses;
	int vla[hidden];
	vla[hidden - 1] = counter;
	if (k > 0)
		return recurse(k - 1) + 1;
	CHECK(locals[0] == &counter && locals[1] == &hidden && *locals[0] == counter);
	CHECK(copy.next == &second && copy.outside == &counter && list == &first && list->next->outside == &hidden);
	CHECK(*fixed == counter && pointers[0] == &hidden && pointers[1] == &counter && !pointers[2] && !pointers[4]);
	CHECK(pointers[5] == &hidden && pointers[6] == &hidden && pointers[7] == &hidden);
	CHECK(inside == &table[2][3] && *inside == 9 && as_number == (unsigned long)&counter);
	CHECK(span.start == text && span.end == text + 4 && !strcmp(span.start, "text"));
	CHECK(literal[0] + literal[1] + literal[2] == 15 && flexible.n == 3 && !strcmp(flexible.tail, "abc"));
	CHECK(sizeof vla == hidden * sizeof(int) && vla[hidden - 1] == counter && real == 2.5);
	CHECK(((unsigned long)bits_and & 127) == 0 && ((unsigned long)&counter >> 45) == 1);
	CHECK(&other == other_pointer && other_array[2] == 3 && other == 11);
	return counter;
}

static void worker(long k)
{
	void inner(void) { counter += k; hidden++; }
	inner();
	table[1][k]++;
	flag = 1;
	total++;
	total *= 2;
	__atomic_fetch_add(&later, 3, __ATOMIC_RELAXED);
	own++;
	other++;
	second.value += increment_other();
	for (int i = 0; i < 4; i++)
		text[i] -= 32;
	__asm__("addl $1, %0" : "+m"(tentative));
	memset(bits_and, 1, sizeof bits_and);
}

int main(void)
{
	CHECK(uses(3) == 8);
	CHECK(static_local(1) == 11 && static_local(2) == 13);
	ONE_THREAD(worker, 2);
	CHECK(counter == 7 && hidden == 8 && table[1][2] == 1 && flag == 1 && total == 202 && later == 3);
	CHECK(own == 1 && other == 13 && second.value == 2 + 13 && tentative == 1 && bits_and[1] == 0x1010101);
	CHECK(!strcmp(span.start, "TEXT") && constant == 3 && here == 1);
	main_only++;
	CHECK(main_only == 2 && ((unsigned long)&here >> 45) != 1 && ((unsigned long)&own >> 45) != 1);
	/* of another unit, which may have been told nothing about atomic accesses here */
	double_strengthen_count = 0;
	__atomic_fetch_add(&later, 1, __ATOMIC_RELAXED);
	CHECK(double_strengthen_count == 0);
	__atomic_fetch_add(&other, 1, __ATOMIC_RELAXED);
	CHECK(double_strengthen_count == 1 && other == 14);
	return failures != 0;
}

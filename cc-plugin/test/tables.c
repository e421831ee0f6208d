/* tables.c - the records of this file say what its source says. */
#include "check.h"

#define BOUND __attribute__((weak, visibility("hidden")))
extern const struct umbel_object __start_umbel_objects[] BOUND, __stop_umbel_objects[] BOUND;
extern const struct umbel_frame __start_umbel_frames[] BOUND, __stop_umbel_frames[] BOUND;
extern const struct umbel_function __start_umbel_functions[] BOUND, __stop_umbel_functions[] BOUND;

enum { LINE_OF_MATRIX = __LINE__ + 4 };
static void owner(char parameter, int n)
{
	/* The line number below is checked. */
	double matrix[3][100];
	const volatile int watched = n;
	_Atomic long counter __attribute__((shadow("sequential", "remote"))) = 0;
	short vla[n];
	int *address_taken = &n;
	vla[0] = 0;
	void thread(long k)
	{
		__label__ out;
		int own = 0; /* captured by `deeper`, which runs in the same thread: a value in the FRAME */
		int compare(int a) { return a + own; }
		void deeper(long z)
		{
			own += z;
			matrix[0][k] = compare(own);
			if (z > 100)
				goto out;
		}
		int (*indirect)(int) = compare;
		deeper(k);
		vla[0] += indirect(watched) + parameter;
		counter++;
		*address_taken += 1;
		dist_thr_create(deeper, 0);
		dist_thr_join_all();
	out:;
	}
	ONE_THREAD(thread, 2);
	parameter = counter;
	matrix[1][1] = 0;
}

static void ordinary(long k) { (void)k; }

static const struct umbel_object *object(const char *name)
{
	for (const struct umbel_object *o = __start_umbel_objects; o < __stop_umbel_objects; o++)
		if (!strcmp(o->name, name))
			return o;
	printf("no object %s\n", name);
	failures++;
	static const struct umbel_object none = { "", "", "", "", 0, 0, 0, 0, "", 0, { 0, 0 } };
	return &none;
}

static const struct umbel_frame *frame(const char *name)
{
	for (const struct umbel_frame *f = __start_umbel_frames; f < __stop_umbel_frames; f++)
		if (!strcmp(f->function, name))
			return f;
	return 0;
}

static const struct umbel_function *function(const char *name)
{
	for (const struct umbel_function *f = __start_umbel_functions; f < __stop_umbel_functions; f++)
		if (!strcmp(f->name, name))
			return f;
	return 0;
}

static int fields_of_kind(const struct umbel_frame *f, unsigned long kind)
{
	int count = 0;
	for (unsigned long i = 0; i < f->field_count; i++)
		count += f->fields[i].kind == kind;
	return count;
}

static const struct umbel_field *field(const struct umbel_frame *f, unsigned long kind)
{
	for (unsigned long i = 0; i < f->field_count; i++)
		if (f->fields[i].kind == kind)
			return &f->fields[i];
	return 0;
}

static void objects(void)
{
	const struct umbel_object *o = object("matrix");
	CHECK(!strcmp(o->function, "owner") && !strcmp(o->type, "double[3][100]") && !o->attribute);
	CHECK(o->size == 2400 && o->align >= 8 && o->element == 800 && o->line == LINE_OF_MATRIX);
	CHECK(o->flags == UMBEL_OBJECT_ARRAY && strstr(o->file, "tables.c"));
	o = object("watched");
	CHECK(o->size == 4 && o->element == 0 && o->flags
	      == (UMBEL_OBJECT_VOLATILE | UMBEL_OBJECT_CONST | UMBEL_OBJECT_SEQUENTIAL));
	o = object("counter");
	/* GCC itself takes an _Atomic variable's address. */
	CHECK(o->flags == (UMBEL_OBJECT_ATOMIC | UMBEL_OBJECT_ADDRESS_TAKEN | UMBEL_OBJECT_SEQUENTIAL
			   | UMBEL_OBJECT_OPERATIONS) && o->size == 8);
	CHECK(o->attribute && !strcmp(o->attribute, "sequential,remote"));
	o = object("vla");
	CHECK(o->flags == (UMBEL_OBJECT_VLA | UMBEL_OBJECT_ARRAY) && o->size == 0 && o->element == 2);
	o = object("parameter");
	CHECK(o->flags == UMBEL_OBJECT_PARAMETER && o->size == 1 && !strcmp(o->type, "char"));
	o = object("n");
	CHECK(o->flags == (UMBEL_OBJECT_PARAMETER | UMBEL_OBJECT_ADDRESS_TAKEN));
}

static void frames(void)
{
	const struct umbel_frame *outer = frame("owner"), *inner = frame("thread");
	CHECK(outer && inner);
	CHECK(outer->chain_offset == -1 && !outer->parent);
	CHECK(fields_of_kind(outer, UMBEL_FIELD_SHARED) == 6); /* the five captured, and address_taken itself */
	CHECK(fields_of_kind(outer, UMBEL_FIELD_DESCRIPTOR) == 1);
	CHECK(field(outer, UMBEL_FIELD_DESCRIPTOR)->ref == function("thread"));
	for (unsigned long i = 0; i < outer->field_count; i++) {
		const struct umbel_field *f = &outer->fields[i];
		if (f->kind != UMBEL_FIELD_SHARED)
			continue;
		const struct umbel_object *o = f->ref;
		CHECK(f->size == 8 && !strcmp(o->function, "owner"));
		CHECK(!strncmp(f->name, o->name, strlen(o->name)) && !strcmp(f->name + strlen(o->name), ".obj"));
	}
	CHECK(inner->chain_offset >= 0 && inner->parent == outer);
	CHECK(fields_of_kind(inner, UMBEL_FIELD_CHAIN) == 1 && fields_of_kind(inner, UMBEL_FIELD_NONLOCAL_GOTO) == 1);
	CHECK(fields_of_kind(inner, UMBEL_FIELD_STUB) == 1 && fields_of_kind(inner, UMBEL_FIELD_DESCRIPTOR) == 1);
	CHECK(field(inner, UMBEL_FIELD_STUB)->ref == function("compare"));
	CHECK(field(inner, UMBEL_FIELD_DESCRIPTOR)->ref == function("deeper"));
}

static void functions(void)
{
	CHECK(function("thread")->frame == frame("owner") && function("thread")->has_chain);
	CHECK(function("deeper")->frame == frame("thread") && function("compare")->frame == frame("thread"));
	CHECK(function("ordinary")->code == (void *)ordinary && !function("ordinary")->frame
	      && !function("ordinary")->has_chain);
}

enum { ROWS = 48, THREADS = 6 };

/* Which rows a thread works on. */
static void units(int rows_each)
{
	double direct[ROWS][10], block[ROWS][10], part[ROWS][10], cyclic[ROWS][10], unknown[ROWS][10], all[ROWS][10];
	double neighbours[ROWS][10], two[ROWS][10], said[ROWS][10] __attribute__((shadow("unit(3)")));
	int flat[ROWS];
	void by_rows(long k)
	{
		direct[k][1] = direct[k + 1][2];
		for (int i = k * 8; i < (k + 1) * 8; i++)
			block[i][0] = 0;
		int low = k * ROWS / THREADS, high = (k + 1) * ROWS / THREADS;
		for (int i = low; i < high; i++) {
			part[i][2] = said[i][2] = 0;
			neighbours[i][0] = neighbours[i + 1][0] + (i ? neighbours[i - 1][0] : 0);
		}
		for (int i = k; i < ROWS; i += THREADS)
			cyclic[i][3] = 0;
		for (int i = k * rows_each; i < ROWS; i++)
			unknown[i][4] = 0;
		for (int i = 0; i < ROWS; i++)
			all[i][k] = flat[4 * k + i % 4] = 0;
		two[k << 2][0] = 0;
		two[k][0] = 0;
	}
	ONE_THREAD(by_rows, 0);
	for (struct { const char *name; unsigned long unit; } *c = (void *)&(struct { const char *name; unsigned long unit; }[]) {
		{ "direct", 1 }, { "block", 8 }, { "part", 8 }, { "neighbours", 8 }, { "cyclic", 1 }, { "unknown", 1 },
		{ "all", 0 }, { "two", 1 }, { "said", 3 }, { "flat", 4 }, { 0, 0 } }; c->name; c++)
		if (object(c->name)->reserved[0] != c->unit)
			printf("units of %s: %lu\n", c->name, object(c->name)->reserved[0]), failures++;
}

int main(void)
{
	units(2);
	owner(1, 5);
	ONE_THREAD(ordinary, 1);
	objects();
	frames();
	functions();
	return failures != 0;
}

/* captures.c - every kind of variable that a thread can share with its father. */
#include <alloca.h>
#include <complex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include "check.h"

struct pair { int left, right; char text[24]; };

static void parameters(int n, double d, struct pair by_value, int decayed[], const char *text)
{
	int length = 0;
	void thread(long add)
	{
		n += add;
		d /= 2;
		by_value.left = n;
		by_value.text[0] = 'B';
		decayed[1] = n;
		length = strlen(text++);
	}
	ONE_THREAD(thread, 7);
	CHECK(n == 12 && d == 1.25 && by_value.left == 12 && by_value.right == 2 && decayed[1] == 12);
	CHECK(!strcmp(by_value.text, "Byte") && length == 5 && !strcmp(text, "ello"));
}

static void many_types(void)
{
	_Bool flag = 0;
	signed char small = -1;
	unsigned short middle = 65535;
	long long large = -1;
	__int128 huge = 1;
	float single = 0.5f;
	long double extended = 1;
	double complex z = 1 + 2 * I;
	enum colour { RED, GREEN } colour = RED;
	void *pointer = 0;
	int (*function)(const char *, ...) = 0;
	union { unsigned bits; float value; } both = { .value = 1 };
	struct { } empty;
	typedef int vector __attribute__((vector_size(16)));
	vector v = { 1, 2, 3, 4 };
	struct { unsigned a : 3, b : 9; int : 0; signed c : 4; volatile unsigned d : 2; } bits = { 1, 2, -3, 1 };
	void thread(int k)
	{
		flag = !flag;
		small--;
		middle++;
		large <<= k;
		huge <<= 100;
		single *= k;
		extended += k;
		z *= I;
		colour = GREEN;
		pointer = &v;
		function = printf;
		both.bits++;
		(void)&empty;
		v *= v;
		bits.a += 7;
		bits.b = 511;
		bits.c--;
		bits.d ^= 3;
	}
	ONE_THREAD(thread, 4);
	CHECK(flag && small == -2 && middle == 0 && large == -16 && huge >> 100 == 1 && single == 2 && extended == 5);
	CHECK(z == -2 + I && colour == GREEN && pointer == &v && function == printf && both.bits == 0x3f800001);
	CHECK(v[0] == 1 && v[3] == 16 && bits.a == 0 && bits.b == 511 && bits.c == -4 && bits.d == 2);
}

static void qualified(register int r)
{
	const int constant = 9;
	volatile int observed = 1;
	_Atomic int counter = 0;
	atomic_llong wide;
	atomic_init(&wide, 1);
	register int fast = 3;
	static int once = 1;
	int plain = 0;
	void add(long n)
	{
		for (int i = 0; i < 1000; i++)
			counter++;
		atomic_fetch_add(&wide, n);
		__atomic_fetch_add(&plain, 1, __ATOMIC_SEQ_CST);
		__sync_fetch_and_add(&plain, 1);
	}
	void touch(long n)
	{
		observed += constant;
		fast *= n;
		r += fast;
		once++;
	}
	for (int i = 0; i < 4; i++)
		dist_thr_create(add, 10);
	dist_thr_join_all();
	touch(2);
	ONE_THREAD(touch, 2);
	CHECK(counter == 4000 && wide == 41 && plain == 8 && observed == 19 && fast == 12 && r == 1 + 6 + 12);
	CHECK(constant == 9);
	once = 1;
}

static void aligned(void)
{
	char line __attribute__((aligned(64))) = 1, page __attribute__((aligned(4096))) = 2;
	char between __attribute__((aligned(512))) = 3;
	double matrix[7][9] __attribute__((aligned(128)));
	matrix[6][8] = 1;
	void thread(long k)
	{
		CHECK(((uintptr_t)&line & 63) == 0 && ((uintptr_t)&page & 4095) == 0);
		CHECK(((uintptr_t)&between & 511) == 0 && ((uintptr_t)matrix & 127) == 0);
		line += k;
		page += k;
		between += k;
		matrix[6][8] += k;
	}
	ONE_THREAD(thread, 1);
	CHECK(line == 2 && page == 3 && between == 4 && matrix[6][8] == 2);
}

static void sizes_round_the_slot(void)
{
	char a[63], b[64], c[65], d[4096], e[4097];
	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	memset(c, 'c', sizeof c);
	memset(d, 'd', sizeof d);
	memset(e, 'e', sizeof e);
	void thread(long k)
	{
		char *start[] = { a, b, c, d, e };
		int size[] = { sizeof a, sizeof b, sizeof c, sizeof d, sizeof e };
		for (int i = 0; i < 5; i++)
			for (int j = 0; j < size[i]; j++)
				CHECK(start[i][j] == 'a' + i);
		a[62] = b[63] = c[64] = d[4095] = e[4096] = k;
	}
	ONE_THREAD(thread, 9);
	CHECK(a[62] == 9 && b[63] == 9 && c[64] == 9 && d[4095] == 9 && e[4096] == 9);
	CHECK(a[61] == 'a' && b[62] == 'b' && c[63] == 'c' && d[4094] == 'd' && e[4095] == 'e');
}

static void initialized(void)
{
	int a[4] = { 1, 2, 3, 4 }, *second = a + 1;
	struct { int *pointer; int value; } link = { second, a[2] };
	char text[] = "hello";
	const char fixed[] = "const";
	struct pair pairs[2] = { [1] = { .right = 5, .text = "pair" } };
	int sum = ({ int s = 0; for (int i = 0; i < 4; i++) s += a[i]; s; });
	void thread(long k)
	{
		*link.pointer += k;
		text[0] = fixed[0];
		pairs[0] = pairs[1];
		sum *= k;
	}
	ONE_THREAD(thread, 5);
	CHECK(a[1] == 7 && link.value == 3 && !strcmp(text, "cello") && sizeof text == 6 && sum == 50);
	CHECK(pairs[0].right == 5 && !strcmp(pairs[0].text, "pair"));
}

static void variable_length(int n, int m)
{
	int a[n][m];
	char text[n];
	struct record { int count; short cells[n]; char last; } record;
	memset(a, 0, sizeof a);
	record.count = n;
	record.last = 'l';
	void thread(long row)
	{
		CHECK(sizeof a == n * m * sizeof(int) && sizeof a[0] == m * sizeof(int) && sizeof text == (unsigned)n);
		for (int column = 0; column < m; column++)
			a[row][column] = row * 100 + column;
		text[row] = row;
		record.cells[row] = -row;
	}
	for (int row = 0; row < n; row++)
		dist_thr_create(thread, row);
	dist_thr_join_all();
	for (int row = 0; row < n; row++) {
		CHECK(text[row] == row && record.cells[row] == -row);
		for (int column = 0; column < m; column++)
			CHECK(a[row][column] == row * 100 + column);
	}
	CHECK(record.count == n && record.last == 'l');
}

static void variable_length_parameters(int n, int square[n][n], int m, int (*rows)[m])
{
	void thread(long k)
	{
		n += k;
		m += k;
		square[1][1] = n;
		rows[1][1] = m;
		CHECK(sizeof square[0] == 4 * sizeof(int) && sizeof *rows == 3 * sizeof(int));
	}
	ONE_THREAD(thread, 10);
	CHECK(n == 14 && m == 13 && square[1][1] == 14 && rows[1][1] == 13);
	CHECK(&square[1][0] - &square[0][0] == 4 && &rows[1][0] - &rows[0][0] == 3);
}

static void arrays_in_initializers(int n)
{
	int outer[n], sum = ({ int inner[n]; for (int i = 0; i < n; i++) inner[i] = i;
			       int total(void) { int t = 0; for (int i = 0; i < n; i++) t += inner[i]; return t; }
			       total(); });
	outer[0] = sum;
	int after[n];
	void thread(long k)
	{
		outer[1] = k;
		for (int i = 0; i < n; i++)
			after[i] = outer[0] + k;
	}
	ONE_THREAD(thread, 3);
	CHECK(outer[0] == n * (n - 1) / 2 && outer[1] == 3 && after[n - 1] == outer[0] + 3);
}

static int variable_arguments(int count, ...)
{
	va_list arguments;
	int sum = 0;
	va_start(arguments, count);
	void add(long k)
	{
		while (k--)
			sum += va_arg(arguments, int);
	}
	add(count - 1);
	add(1);
	va_end(arguments);
	return sum;
}

static void pointers_to_private_memory(int n)
{
	int *block = alloca(n * sizeof *block);
	void fill(long k)
	{
		for (int i = 0; i < n; i++)
			block[i] = k;
	}
	fill(6);
	CHECK(block[0] == 6 && block[n - 1] == 6);
}

static void same_names(void)
{
	int x = 1;
	void outer_x(long k) { x += k; }
	{
		int x = 100;
		void inner_x(long k) { x += k; }
		ONE_THREAD(inner_x, 1);
		CHECK(x == 101);
		{
			double x = 0.5;
			void inmost_x(long k) { x *= k; }
			ONE_THREAD(inmost_x, 4);
			CHECK(x == 2);
		}
	}
	ONE_THREAD(outer_x, 1);
	CHECK(x == 2);
}

static void marked(int n)
{
	int array[n] __attribute__((shadow("update")));
	long counter __attribute__((shadow("remote"))) = 0, *alias = &counter;
	for (int i = 0; i < n; i++)
		array[i] = i;
	for (int i = 0; i < n; i++)
		*alias += array[i];
	CHECK(counter == n * (n - 1) / 2);
}

int main(void)
{
	int decayed[2] = { 0 }, square[4][4] = { { 0 } }, rows[3][3] = { { 0 } };
	parameters(5, 2.5, (struct pair) { 1, 2, "byte" }, decayed, "hello");
	CHECK(decayed[1] == 12);
	many_types();
	qualified(1);
	aligned();
	sizes_round_the_slot();
	initialized();
	variable_length(5, 7);
	variable_length_parameters(4, square, 3, rows);
	arrays_in_initializers(6);
	CHECK(variable_arguments(4, 1, 2, 3, 4) == 10);
	pointers_to_private_memory(8);
	same_names();
	marked(9);
	return failures != 0;
}

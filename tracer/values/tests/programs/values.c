#include "stop.h"
#include <complex.h>
#include <stdint.h>
#include <wchar.h>

enum color { RED, GREEN = 5, BLUE };
enum flags { READ = 1, WRITE = 2, EXEC = 4, ALL = 7 };
typedef enum { MINUS = -1, ZERO } sign;
struct point { int x; double y; };
struct node { int value; struct node *next; };
struct bits { unsigned a : 3; int b : 5; enum color c : 4; _Bool d : 1; unsigned long e : 40; };
union number { int i; float f; unsigned char bytes[4]; };
struct outer { struct point at; struct { int inner; union { long l; char c; }; }; struct point *to; int last[]; };
typedef int vector4 __attribute__((vector_size(16)));

static int twice(int n) { return 2 * n; }

int many(int count)
{
    char small = 'a', escape = '\n', negative = -1;
    unsigned char octet = 200;
    short s = -5;
    unsigned u = 4000000000u;
    long long ll = -9000000000000000000ll;
    unsigned long long ull = 18000000000000000000ull;
    __int128 big = ((__int128)1 << 100) + 7;
    unsigned __int128 huge = ~(unsigned __int128)0;
    _Bool yes = 1;
    float f = 0.1f;
    double d = 1e100, tenth = 0.1, none = -0.0;
    long double ld = 0.1L;
    double complex z = 1.5 - 2.0 * I;
    enum color color = BLUE, odd = (enum color)77;
    enum flags flags = READ | EXEC, more = (enum flags)9, nothing = (enum flags)0;
    sign minus = MINUS;
    struct point p = { 3, 2.5 };
    struct point *pp = &p;
    struct point **ppp = &pp;
    struct node second = { 2, 0 }, first = { 1, &second };
    struct bits bits = { 5, -3, GREEN, 1, 123456789012ul };
    union number number = { .f = 1.0f };
    struct outer outer = { { 1, 2 }, { 4, { 5 } }, &p };
    int array[5] = { 1, 2, 3, 4, 5 }, zeros[100] = { 0 }, grid[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
    int vla[count];
    int square[count][2];
    char text[16] = "hello", full[3] = { 'a', 'b', 'c' };
    const char *string = "a \"quoted\"\tline\n", *null = 0;
    char *invalid = (char *)0x10;
    struct point *nowhere = (struct point *)0xdeadbeef0000;
    int (*function)(int) = twice;
    int (*table[2])(int) = { twice, 0 };
    void *opaque = &p;
    vector4 vector = { 1, 2, 3, 4 };
    wchar_t wide[4] = L"h\u00e9";
    uint16_t *sixteen = (uint16_t[]){ 7, 8 };
    int i;
    second.next = &first;
    for (i = 0; i < count; i++)
        vla[i] = square[i][0] = square[i][1] = i * i;
    umbel_stop();
    return small + escape + negative + octet + s + (int)u + (int)ll + (int)ull + (int)big + (int)huge + yes + (int)f + (int)d
        + (int)tenth + (int)none + (int)ld + (int)creal(z) + color + odd + flags + more + nothing + minus + p.x + pp->x
        + (*ppp)->x + first.value + bits.a + number.i + outer.at.x + array[0] + zeros[0] + grid[0][0] + vla[0]
        + square[0][0] + text[0] + full[0] + string[0] + (null != 0) + (invalid != 0) + (nowhere != 0) + function(1)
        + table[0](1) + (opaque != 0) + vector[0] + (int)wide[0] + sixteen[0];
}

int main(void)
{
    return many(3) == 0;
}

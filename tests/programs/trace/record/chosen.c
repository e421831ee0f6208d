/* Calls whose variables --args chooses: structs, pointers to arrays, bit fields, blocks. */
#include <stdio.h>
#include <string.h>

struct inner {
    int c;
    unsigned low : 3;
    int high : 5;
};

struct outer {
    char tag;
    struct inner b;
    struct outer *next;
    union {
        int whole;
        char bytes[4];
    };
    int grid[2][3];
};

volatile int sink;

__attribute__((noinline)) int first(int a, struct outer b, const int *p, int n)
{
    int sum = a;
    for (int i = 0; i < n; i++) {
        int inside = p[i];
        sum += inside;
    }
    sink = sum;
    return sum;
}

__attribute__((noinline)) void second(struct outer *o, void *text, unsigned char *bytes, int **rows, int count)
{
    sink = o->b.c + bytes[0] + rows[0][1] + count + *(char *)text;
    o->b.c = 77;
}

__attribute__((noinline)) struct inner third(int x, int y)
{
    struct inner made = { x, 5, -3 };
    int *gone = (int *)8;
    sink = y + (gone != 0);
    return made;
}

int main(void)
{
    int numbers[20];
    for (int i = 0; i < 20; i++)
        numbers[i] = i * i;
    struct outer last = { 'l', { 9, 1, -1 }, 0, { .whole = 0x64636261 }, { { 1, 2, 3 }, { 4, 5, 6 } } };
    struct outer top = { 't', { 5, 6, -7 }, &last, { .whole = 1 }, { { 0 } } };
    int *rows[2] = { numbers + 2, numbers };
    first(1, top, numbers, 18);
    second(&top, "a text", (unsigned char *)"bytes!", rows, 4);
    printf("%d\n", third(3, 4).c);
    return 0;
}

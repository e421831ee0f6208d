/* 100 calls of `scale` and `twice`, whose arguments and results triggers compare. */
#include <stdio.h>

struct node {
    int value;
    struct node *next;
};

enum colour { RED, GREEN = 7 };

__attribute__((noinline)) double scale(double x, float f, unsigned char c, enum colour colour,
                                       struct node *list, long n)
{
    double sum = x + f + c + colour + n;
    for (; list; list = list->next)
        sum += list->value;
    return sum + x;
}

__attribute__((noinline)) int twice(int n)
{
    return n * 2;
}

int main(void)
{
    double sum = 0;
    for (int n = 0; n < 100; n++) {
        struct node last = { n, 0 };
        struct node first = { -n, n % 10 ? &last : 0 };
        sum += scale(n / 4.0, n / 8.0f, n * 3, n % 10 ? RED : GREEN, &first, n - 50);
        sum += twice(n);
    }
    printf("%g\n", sum);
    return 0;
}

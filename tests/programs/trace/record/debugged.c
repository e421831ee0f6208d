/* `turn` is called until somebody sets `box->over`; then what has become of the box is written out. `depth` functions call one another
   each time. */
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum colour { RED, GREEN = 7 };

struct box {
    int count;
    unsigned few : 3;
    int signed_few : 4;
    bool over;
    char letter;
    enum colour colour;
    float narrow;
    double wide;
    long double widest;
    const char *text;
    struct box *next;
    short numbers[4];
    int table[2][3];
};

__attribute__((noinline)) int leaf(int value) { return value + 1; }

__attribute__((noinline)) int branch(int value)
{
    int sum = leaf(value);
    return sum + leaf(value + 1);
}

__attribute__((noinline)) int turn(struct box *box)
{
    int local = box->count;
    local += branch(local);
    box->count = box->count + 1;
    usleep(1000);
    return local;
}

int main(void)
{
    static struct box other;
    static struct box box = { .letter = 'a', .text = "a text", .next = &other, .numbers = { 1, 2, 3, 4 },
                              .table = { { 1, 2, 3 }, { 4, 5, 6 } }, .signed_few = -3 };
    while (!box.over)
        turn(&box);
    printf("%u %d %c %d %g %g %Lg %d %d %d %d\n", box.few, box.signed_few, box.letter, box.colour, box.narrow, box.wide,
           box.widest, box.numbers[2], box.table[1][2], box.next == 0, other.count);
    return 0;
}

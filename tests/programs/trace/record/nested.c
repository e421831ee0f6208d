/* 10 calls of `level1`, each of which calls `level2`, each of which calls `level3`, which takes 2 ms every fifth time. */
#include <time.h>

__attribute__((noinline)) void level3(int index)
{
    if (index % 5 == 0) {
        struct timespec pause = { 0, 2000000 };
        nanosleep(&pause, 0);
    }
}

__attribute__((noinline)) void level2(int index)
{
    level3(index);
    __asm__ volatile("");
}

__attribute__((noinline)) void level1(int index)
{
    level2(index);
    __asm__ volatile("");
}

int main(void)
{
    for (int index = 0; index < 10; index++)
        level1(index);
    return 0;
}

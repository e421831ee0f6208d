/* With -O2 what `turn` needs behind its calls is in registers that calls keep; `ask` is where a user stops. What has become of it all is
   written out. */
#include <stdio.h>

struct pair {
    int first, second;
};

volatile long asked;

__attribute__((noipa)) void ask(long number, const int *kept) { asked = kept ? number : -number; }

__attribute__((noipa)) long told(long number, double part)
{
    ask(number, 0);
    return number * 10 + (part > 2.0);
}

__attribute__((noipa)) long turn(long step, char letter)
{
    long sum = 0;
    int kept = 3;
    double part = (double)step / 4;
    struct pair pair = { (int)step, letter };
    const long twice = 2 * step;
    for (int round = 0; round < 3; round++) {
        ask(round, &kept);
        sum += step + kept + pair.first;
        pair.second += letter;
    }
    ask(twice, &kept);
    printf("%ld %d %g %d %d %c\n", sum, kept, part, pair.first, pair.second, letter);
    return sum;
}

int main(void)
{
    const long sum = turn(1, 'a');
    printf("%ld %ld\n", sum, told(5, 1.5));
    return 0;
}

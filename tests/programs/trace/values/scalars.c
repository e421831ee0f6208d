// Numbers of every kind, in arguments of every class: registers, floating registers, stack.
#include <complex.h>
#include <stdbool.h>
#include <stdint.h>

#include "../trace.h"

enum colour { RED, GREEN = 5, BLUE = -3 };
enum flag { READ = 1, WRITE = 2, RUN = 4 };
typedef int count;
typedef int vector __attribute__((vector_size(16)));

volatile long sink;

APART int small(char c, signed char s, unsigned char u, short h, unsigned short v, bool b) {
  int sum = c + s + u + h + v + b;
  return sum;
}

APART long large(int i, unsigned u, long l, unsigned long m, long long x, unsigned long long y) {
  long sum = i + u + l + m + x + y;
  sink += sum;
  return sum;
}

APART double floating(float f, double d, long double l) {
  double sum = f + d + (double)l;
  long double kept = l * 2;
  sink += (long)kept;
  return sum;
}

APART float single(float f) { return f * 0.1f; }
APART long double longest(double d) { return (long double)d / 3; }
APART bool truth(int n) { return n > 2; }
APART char letter(int n) { return 'a' + n; }

APART enum colour named(enum colour c, enum flag f, enum flag none) {
  enum colour other = c == RED ? GREEN : BLUE;
  sink += f + none + other;
  return other;
}

APART __int128 wide(__int128 a, unsigned __int128 b) {
  __int128 product = a * 1000003;
  sink += (long)(b >> 64);
  return product;
}

APART double complex rotate(double complex z, float complex w) {
  double complex turned = z * I + w;
  return turned;
}

APART vector lanes(vector a, vector b) {
  vector sum = a + b;
  sink += sum[1];
  return sum;
}

APART long many(count a, count b, count c, count d, count e, count f, count g, count h, double i, long j) {
  long first = a + b + c, rest = d + e + f + g + h;
  sink += first;
  return first * rest + (long)i + j;
}

APART int unused(int kept, int dropped, const volatile int last) {
  (void)dropped;
  sink += kept;
  return last;
}

int main(void) {
  long total = 0;
  for (int n = 0; n < 6; n++) {
    long before = total;
    total += small('a' + n, -n, 200 + n, -1000 * n, 60000 + n, n & 1);
    total += large(-n, n, -(1L << 40), 1UL << 50, (long long)n << 33, ~0ULL - n);
    total += (long)floating(0.1f * n, 1.0 / (n + 1), 3.25L * n) + (long)single(n) + (long)longest(n);
    total += truth(n) + letter(n);
    total += named(n ? BLUE : RED, READ | RUN, 0) + named(GREEN, READ | 8, WRITE);
    total += (long)wide((__int128)n << 70, (unsigned __int128)1 << 100);
    total += (long)creal(rotate(1.5 + n * I, 2.0f));
    total += lanes((vector){n, 1, 2, 3}, (vector){4, 5, 6, 7})[2];
    total += many(n, 2, 3, 4, 5, 6, 7, 8, 9.5, before) + unused(n, 2, 3);
  }
  return total == 0;
}

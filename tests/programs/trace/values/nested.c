// Functions in functions: what they are called with, and what they see of those around them.
#include <stdlib.h>

#include "../trace.h"

struct point {
  int x, y;
};

volatile long sink;

/* Each level has variables that the next one uses, and others that none does. */
APART long outer(int n, const char *name) {
  long total = n * 10L;
  int unshared = n + 77;
  struct point at = {n, -n};
  int row[3] = {n, n + 1, n + 2};
  APART long middle(int a) {
    int own = a + 1;
    APART long inner(long q) {
      long last = q + own;
      sink += last;
      return total + row[1] + last + at.y;
    }
    total += a;
    sink += own;
    return inner(own * 3L) + row[0] + name[0];
  }
  sink += unshared;
  long result = middle(n + 5);
  sink += unshared + at.x;
  return result + total;
}

/* One is called by a library, not by the function around it; of two activations of that each has its own. */
APART int sorted(int count, int bias) {
  int numbers[4] = {4 * count, 2 * count, 3 * count, count}, compared = 0;
  APART int compare(const void *one, const void *other) {
    int difference = *(const int *)one - *(const int *)other;
    compared++;
    sink += bias;
    return difference;
  }
  if (count > 1)
    sink += sorted(count - 1, bias + 1);
  qsort(numbers, 4, sizeof *numbers, compare);
  return numbers[0] + compared;
}

/* It hides a variable of the function around it, and one lies in a block. */
APART int hidden(int value, int size) {
  int shared = value * 2;
  int sized[size];
  for (int i = 0; i < size; i++)
    sized[i] = value + i;
  {
    int block = shared + 1;
    APART int peek(int shared) {
      int more = shared + block + sized[1];
      sink += more;
      return more;
    }
    shared += peek(7);
  }
  return shared;
}

int main(void) {
  long all = outer(3, "name");
  for (int i = 1; i < 4; i++)
    all += outer(i, "other") + sorted(i, 100) + hidden(i, 3);
  return all == 0;
}

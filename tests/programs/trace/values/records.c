// Structs, unions, bit fields, arrays; passed and returned in registers and in memory.
#include <stdint.h>
#include <string.h>

#include "../trace.h"

struct point {
  int x, y;
};
struct mixed {
  double weight;
  long count;
};
struct pair {
  float a, b;
};
struct bits {
  unsigned low : 3;
  int middle : 7;
  unsigned long high : 40;
  unsigned char last : 1;
};
union number {
  int i;
  float f;
  unsigned char bytes[4];
};
struct outer {
  struct point from, to;
  union number value;
  struct {
    short hidden;
    union {
      int left;
      float right;
    };
  };
  char name[12];
  struct point *next;
  int (*compare)(int, int);
};
struct large {
  long values[9];
  struct point corners[2][3];
};
struct flexible {
  int count;
  int values[];
};
struct __attribute__((packed)) tight {
  char tag;
  int value;
  double weight;
};
struct empty {};

volatile long sink;

APART int sum_of(int a, int b) { return a + b; }
APART struct point moved(struct point p, int by) {
  struct point q = {p.x + by, p.y - by};
  return q;
}
APART struct mixed weighed(struct mixed m) {
  struct mixed twice = {m.weight * 2, m.count + 1};
  return twice;
}
APART struct pair halved(struct pair p) { return (struct pair){p.a / 2, p.b / 2}; }
APART struct bits counted(struct bits b) {
  b.low++;
  b.middle--;
  b.high <<= 1;
  return b;
}
APART union number either(union number n, int by) {
  n.i += by;
  return n;
}
APART struct large grown(struct large l, int at) {
  l.values[at % 9] += 100;
  l.corners[1][2].y = at;
  return l;
}
APART int seen(struct outer *o, const struct outer *same) {
  int (*function)(int, int) = o->compare;
  struct outer copy = *same;
  sink += copy.name[0];
  return function(o->from.x, copy.left);
}
APART int flexed(const struct flexible *f) {
  int sum = 0;
  for (int n = 0; n < f->count; n++) sum += f->values[n];
  return sum;
}
APART double packed(struct tight t, struct empty nothing) {
  (void)nothing;
  return t.value + t.weight + t.tag;
}
APART int sized(int rows, int columns, int table[rows][columns], const char *name) {
  int row[columns];
  char copy[8];
  memcpy(copy, name, sizeof copy);
  memcpy(row, table[rows - 1], sizeof row);
  sink += copy[0];
  return row[columns - 1];
}
APART int filled(void) {
  int zeros[40] = {0}, matrix[3][4];
  unsigned char raw[6] = {0, 1, 255, 'x', '\n', 200};
  double ratios[5] = {0.1, 0.2, 1e300, -0.0, 1};
  for (int n = 0; n < 12; n++) matrix[n / 4][n % 4] = n;
  sink += zeros[sink & 7] + matrix[sink & 1][2] + raw[sink & 3] + (long)ratios[1];
  return sum_of(matrix[2][3], raw[2]);
}

int main(void) {
  long total = 0;
  struct {
    struct flexible head;
    int room[3];
  } list = {.head = {3}, .room = {7, 8, 9}};
  int table[2][3] = {{1, 2, 3}, {4, 5, 6}};
  struct point last = {7, 8};
  for (int n = 0; n < 8; n++) {
    struct outer o = {{n, 2}, {3, 4}, {.f = 1.5f}, {.hidden = 5, .left = n}, "name", n & 1 ? &last : 0, sum_of};
    struct large l = {{n, 2, 3}, {{{1, 2}}}};
    total += moved((struct point){n, n}, 3).x + (long)weighed((struct mixed){0.25 * n, n}).weight;
    total += (long)halved((struct pair){n, 1}).a + (long)counted((struct bits){n, -n, 1UL << n, n & 1}).middle;
    total += either((union number){.f = n}, 1).i & 7;
    total += grown(l, n).values[0] + seen(&o, &o) + flexed(&list.head);
    total += (long)packed((struct tight){'t', n, 0.5}, (struct empty){}) + sized(2, 3, table, "a long name") + filled();
  }
  return total == 0;
}

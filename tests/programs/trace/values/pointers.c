// Pointers: to everything, to nothing, to themselves; texts of every kind; blocks in blocks.
#include <stdlib.h>
#include <string.h>

#include "../trace.h"

struct node {
  int value;
  struct node *next, *self;
  const char *name;
};
struct opaque;
typedef int (*operation)(int);

volatile long sink;

APART int negated(int n) { return -n; }
APART struct node *pushed(struct node *list, int value, const char *name) {
  struct node *fresh = malloc(sizeof *fresh);
  *fresh = (struct node){value, list, fresh, name};
  return fresh;
}
APART int length(const struct node *list) {
  int count = 0;
  for (const struct node *at = list; at; at = at->next) {
    int value = at->value;
    sink += value;
    count++;
  }
  return count;
}
APART int hostile(void *nothing, int *bad, const char *text, struct opaque *unknown, char **list, int **twice) {
  (void)bad;
  (void)unknown;
  return nothing == 0 && text && list[0] && **twice;
}
APART const char *texts(const char *plain, char *empty, const unsigned char *bytes, const char *lengthy, const char *none) {
  const char *end = plain + strlen(plain);
  sink += bytes[0] + lengthy[0] + (empty == none);
  return end - 1;
}
APART operation chosen(operation first, int (*table[2])(int), int at) {
  operation second = table[at & 1];
  sink += first(at);
  return second;
}
APART int shadowed(int n) {
  int value = n;
  for (int i = 0; i < 2; i++) {
    int value = i * 10;
    {
      long value = i + n;
      sink += negated((int)value);
    }
    sink += negated(value);
  }
  return negated(value);
}
APART int changed(int *in, int *out, int n) {
  int *restrict where = out;
  *where = *in + n;
  return *out;
}
APART int fewer(int n, ...) {
  static int calls;
  const int saved = ++calls;
  return saved + n;
}

int main(void) {
  struct node *list = 0;
  char empty[1] = "", *words[] = {"one", "two", 0};
  int number = 3, *pointer = &number, **twice = &pointer, out = 0;
  static char lengthy[300];
  memset(lengthy, 'x', sizeof lengthy - 1);
  long total = 0;
  for (int n = 0; n < 8; n++) {
    list = pushed(list, n, n & 1 ? "odd" : 0);
    total += length(list) + hostile(0, (int *)8, "abc", (struct opaque *)0x123456789abcUL, words, twice);
    total += texts("plain", empty, (const unsigned char *)"\1\377z", lengthy, 0)[0];
    total += chosen(negated, (operation[2]){negated, 0}, 2 * n)(n);
    total += shadowed(n) + changed(&number, &out, n) + fewer(n, 1, 2);
    total += hostile(&total, (int *)-1L, lengthy + 290, (struct opaque *)(~0UL << 47), words + 1, twice);
  }
  return total == 0;
}

// A function that calls itself, and two that call each other.
#include "trace.h"

APART int down(int n) { return n == 0 ? 0 : 1 + down(n - 1); }

APART int even(int n);
APART int odd(int n) { return n == 0 ? 0 : even(n - 1); }
int even(int n) { return n == 0 ? 1 : odd(n - 1); }

int main(void) { return !(down(3) == 3 && even(4) && !odd(2)); }

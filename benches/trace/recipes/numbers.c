// Functions of one to three numbers that return one.
#include "burst.h"

#define TRACED __attribute__((noipa))

TRACED long one(long first) { return first + 1; }
TRACED long two(long first, int second) { return first - second; }
TRACED long three(long first, int second, unsigned char third) { return first * second + third; }

PLAIN int main(int count, char **arguments) {
  long calls = count > 1 ? atol(arguments[1]) : 1000;
  struct kind kinds[] = {{"one", 0}, {"two", 0}, {"three", 0}};
  for (int burst = 0; burst < BURSTS; burst++) {
    BURST(&kinds[0], 2, calls, one(number));
    BURST(&kinds[1], 2, calls, two(number, 3));
    BURST(&kinds[2], 2, calls, three(number, 3, 7));
  }
  print(kinds, 3);
  return 0;
}

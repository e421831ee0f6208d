// Exceptions through frames, thrown on, and thrown while another is under way.
#include <stdexcept>

#include "trace.h"

APART void tiny() { __asm__ volatile(""); }

APART void fail() { throw std::runtime_error("fails"); }

APART void between() {
  fail();
  tiny();
}

struct Guard {
  APART ~Guard() {
    try {
      fail();
    } catch (const std::exception &) {
      tiny();
    }
  }
};

APART void with_guard() {
  Guard guard;
  between();
}

APART void throws_on() {
  try {
    with_guard();
  } catch (const std::exception &) {
    tiny();
    throw;
  }
}

int main() {
  try {
    throws_on();
  } catch (const std::exception &) {
    tiny();
    return 0;
  }
  return 1;
}

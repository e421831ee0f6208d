// Exceptions through traced frames, thrown again, out of constructors; destructors call.
#include <stdexcept>
#include <string>
#include "called.h"

struct Guard {
    Guard() { CALLED; }
    ~Guard() { CALLED; }
};

TRACED static int deep(int n) {
    CALLED;
    Guard guard;
    if (n == 0) throw std::runtime_error("deep");
    return deep(n - 1) + 1;
}

TRACED static int again(int n) {
    CALLED;
    try {
        return deep(n);
    } catch (const std::exception &) {
        throw;
    }
}

struct Broken {
    Guard guard;
    Broken() {
        CALLED;
        throw 5;
    }
};

TRACED int main() {
    CALLED;
    for (int round = 0; round < 1000; round++) {
        try {
            again(round % 20);
        } catch (const std::runtime_error &) {
        }
        try {
            Broken broken;
        } catch (int) {
        }
    }
    called_print();
    return 0;
}

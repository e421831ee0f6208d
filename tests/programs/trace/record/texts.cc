// 100 calls of functions with texts, bit fields and enumerators, which triggers compare.
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <sys/mman.h>

#define NOINLINE __attribute__((noinline))

namespace paint {
enum class Colour : short { RED = -3, GREEN, BLUE = 9 };
}

struct Flags {
    unsigned ready : 1;
    int balance : 5;
    unsigned long wide : 40;
    paint::Colour colour : 8;
};

struct Named {
    char name[8];
    Flags flags;
    std::string title;

    NOINLINE int rank(int n) { return n + (int)title.size(); }
};

static int total;

NOINLINE void opened(const char *path) { total += path != nullptr; }
NOINLINE void seen(Named *one) { total += one->flags.ready + (int)one->title.size(); }
NOINLINE void said(const std::string &text, const std::string_view &part) { total += (int)(text.size() + part.size()); }
NOINLINE const char *answer(int n) { return n % 25 ? "no" : "yes\n"; }

int main()
{
    // A text that ends with the last byte that can be read.
    char *pages = (char *)mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    char *last = strcpy(pages + 4096 - 6, "last!");
    // And one that doesn't end.
    char *endless = pages + 4096 - 6;
    for (int n = 0; n < 100; n++) {
        char path[32];
        snprintf(path, sizeof path, "/data/%d.%s", n, n % 10 ? "txt" : "DB");
        opened(n == 50 ? nullptr : n == 51 ? (char *)16 : n == 52 ? last : path);
        if (n == 53) {
            memset(endless, 'z', 6);
            opened(endless);
        }
        Named one = { "", { (unsigned)n & 1, n % 16 - 8, n + (1ul << 39), n % 3 ? paint::Colour::RED : paint::Colour::BLUE },
                      n % 2 ? "odd" : "an even number, too long to lie within" };
        // Of eight characters, and no 0.
        snprintf(one.name, sizeof one.name, "n%d", n);
        if (n == 7)
            memcpy(one.name, "eightbig", 8);
        seen(&one);
        said(one.title, std::string_view(path).substr(0, 5 + n % 2));
        total += one.rank(n) + (int)strlen(answer(n));
    }
    printf("%d\n", total);
    return 0;
}

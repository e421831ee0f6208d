// `turn` is called until somebody sets `over`. Global and static variables of several kinds, containers, jumps and exceptions out of calls.
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <pthread.h>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <vector>

#define NOINLINE __attribute__((noinline))

volatile int over;
int total = 40;
static int hidden = 7;
thread_local int own = 3;

namespace shop {
struct Price {
    int cents;
    const char *name;
};
Price cheapest = { 5, "gum" };
namespace {
long secret = -9;
}
} // namespace shop

struct Counter {
    static int made;
    int total = 1;
    NOINLINE int count(int n) { return total += n; }
};
int Counter::made = 11;

int other_file(int n);

static jmp_buf there;

NOINLINE void after(int n) { total += n; }

NOINLINE void inner(int n)
{
    after(1);
    if (n)
        longjmp(there, 1);
    throw n;
}

NOINLINE void outer(int n)
{
    inner(n);
    after(100);
}

NOINLINE int turn(int n)
{
    static int turns = 20;
    std::vector<int> v { 10, 20, 30, 40 };
    std::array<short, 3> a { 1, 2, 3 };
    std::string s = "text";
    std::map<int, shop::Price> m { { 1, { 100, "one" } }, { 2, { 200, "two" } }, { 5, { 500, "five" } } };
    std::list<int> l { 7, 8, 9 };
    std::deque<int> d(200, 4);
    d[150] = 6;
    void *raw = &shop::cheapest;
    unsigned char bytes[4] = { 0x78, 0x56, 0x34, 0x12 };
    turns++;
    Counter counter;
    counter.count(n);
    other_file(n);
    if (!setjmp(there))
        outer(1);
    after(2);
    try {
        outer(0);
    } catch (int) {
        after(3);
    }
    usleep(1000);
    return (int)(v[0] + a[0] + s[0] + m[1].cents + l.front() + d[0] + (raw != nullptr) + bytes[0]);
}

static NOINLINE void late(int n) { own += n; }

static void *late_thread(void *)
{
    while (!over) {
        late(1);
        usleep(1000);
    }
    return nullptr;
}

int main()
{
    int sum = 0;
    pthread_t thread;
    bool has_thread = false;
    while (!over) {
        sum += turn(2);
        if (total == -1 && !has_thread)
            has_thread = !pthread_create(&thread, nullptr, late_thread, nullptr);
    }
    if (has_thread)
        pthread_join(thread, nullptr);
    printf("%d %d %ld %d\n", hidden, shop::cheapest.cents, shop::secret, Counter::made);
    return sum == 0;
}

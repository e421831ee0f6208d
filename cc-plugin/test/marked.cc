/* marked.cc - C++: locals with the attribute, through lambdas, constructors, destructors and exceptions. */
#include <cstdio>
#include <string>
#include <vector>
#include "umbel.h"

static int done, destroyed;
static void plain(long k) { __atomic_fetch_add(&done, static_cast<int>(k), __ATOMIC_SEQ_CST); }

struct counted {
	int value;
	~counted() { destroyed += value; }
};

static int work(bool fails)
{
	int x __attribute__((shadow("update"))) = 1;
	std::vector<int> v __attribute__((shadow)) { 1, 2, 3 };
	std::string text __attribute__((shadow)) = "object";
	counted c __attribute__((shadow)) { 7 };
	auto add = [&](int k) { x += k; v.push_back(k); text += 's'; };
	add(3);
	if (fails)
		throw x;
	return x + static_cast<int>(v.size() + text.size()) + c.value;
}

int main()
{
	int result = work(false), thrown = 0;
	for (int i = 0; i < 1000; i++)
		try {
			work(true);
		} catch (int x) {
			thrown += x;
		}
	dist_thr_create(plain, 5);
	dist_thr_join_all();
	bool right = result == 4 + 4 + 7 + 7 && thrown == 4000 && destroyed == 7007 && done == 5;
	if (!right)
		std::printf("%d %d %d %d\n", result, thrown, destroyed, done);
	return !right;
}

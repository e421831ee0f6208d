// gcc: -std=c++17
// The C++ library's types, as arguments, locals and results.
#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "../trace.h"

volatile long sink;

struct item {
  std::string name;
  std::vector<int> values;
};

APART std::size_t texts(const std::string &brief, std::string lengthy, std::string_view view, std::string *pointer) {
  std::string joined = brief + lengthy;
  sink = sink + static_cast<long>(joined.size());
  return joined.size() + view.size() + pointer->size();
}
APART std::vector<int> doubled(const std::vector<int> &numbers, const std::vector<std::string> &words, std::vector<bool> truths) {
  std::vector<int> result;
  for (int number : numbers) result.push_back(2 * number);
  sink = sink + static_cast<long>(words.size() + truths.size());
  return result;
}
APART long maps(const std::map<std::string, int> &ordered, const std::unordered_map<int, double> &hashed, const std::set<int> &numbers) {
  std::map<int, std::string> own{{1, "one"}, {2, "two"}};
  return static_cast<long>(ordered.size() + hashed.size() + numbers.size() + own.size());
}
APART long pointers(const std::unique_ptr<item> &owned, std::shared_ptr<int> shared, std::weak_ptr<int> weak, std::unique_ptr<int[]> none) {
  std::shared_ptr<int> other = weak.lock();
  return static_cast<long>(owned->values.size()) + *shared + *other + (none == nullptr);
}
APART long perhaps(std::optional<int> one, const std::optional<std::string> &nothing, std::variant<int, double, std::string> any) {
  std::optional<double> half;
  if (one) half = *one / 2.0;
  return static_cast<long>(half.value_or(-1)) + static_cast<long>(any.index()) + nothing.has_value();
}
APART long sequences(const std::list<int> &list, const std::deque<int> &deque, std::array<int, 3> array, std::tuple<int, double, char> tuple) {
  std::pair<int, std::string> pair{1, "pair"};
  long sum = std::get<0>(tuple) + array[1] + pair.first;
  for (int n : list) sum += n;
  for (int n : deque) sum += n;
  return sum;
}
APART item made(const item &from, const std::vector<item> &all) {
  item copy = from;
  copy.name += std::to_string(all.size());
  return copy;
}

int main() {
  long total = 0;
  std::vector<item> all;
  for (int n = 0; n < 4; n++) {
    std::string lengthy(static_cast<std::size_t>(20 * n), 'z'), brief = "brief";
    total += static_cast<long>(texts(brief, lengthy, std::string_view(lengthy).substr(0, 5), &brief));
    total += static_cast<long>(doubled({1, 2, n}, {"a", lengthy}, {true, false, true}).size());
    std::map<std::string, int> ordered{{"a", 1}, {"b", n}};
    std::unordered_map<int, double> hashed{{1, 0.5}, {n + 2, 1.5}};
    total += maps(ordered, hashed, {3, 1, n});
    auto owned = std::make_unique<item>(item{"item", {1, 2, 3}});
    auto shared = std::make_shared<int>(n);
    total += pointers(owned, shared, shared, nullptr);
    total += perhaps(n & 1 ? std::optional<int>(n) : std::nullopt, "text", n == 0 ? std::variant<int, double, std::string>(1) : std::variant<int, double, std::string>("s"));
    total += sequences({1, 2, n}, {4, 5, 6}, {7, 8, 9}, {n, 2.5, 'c'});
    all.push_back(made(*owned, all));
  }
  return total == 0;
}

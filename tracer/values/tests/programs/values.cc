#include "stop.h"
#include <array>
#include <atomic>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace shapes {
enum class Kind { Round, Square = 4 };
struct Base { int id; virtual ~Base() {} };
struct Named { std::string name; };
struct Shape : Base, Named { Kind kind; double size; int area() const; };
struct Left : virtual Base { int l; };
struct Right : virtual Base { int r; };
struct Diamond : Left, Right { int d; };
template <typename T, int N> struct Fixed { T items[N]; };
struct Empty {};
}

int many(const std::string &reference, int &&moved)
{
    using namespace shapes;
    std::string name = "hello", longer(100, 'x'), nothing;
    std::wstring wide = L"w\u00efde";
    std::string_view view = "view";
    std::vector<int> numbers{1, 2, 3}, none;
    std::vector<std::string> names{"a", "b"};
    std::vector<bool> bools{true, false, true};
    std::vector<std::vector<int>> nested{{1}, {2, 3}};
    std::array<int, 3> array{7, 8, 9};
    std::map<int, std::string> map{{1, "one"}, {2, "two"}, {3, "three"}};
    std::map<std::string, double> prices{{"tea", 1.5}};
    std::set<int> set{3, 1, 2};
    std::multimap<int, int> multi{{1, 10}, {1, 11}};
    std::unordered_map<int, int> hashed{{5, 50}};
    std::unordered_set<std::string> strings{"only"};
    std::list<int> list{1, 2, 3};
    std::forward_list<long> forward{4, 5};
    std::deque<int> deque{1, 2, 3};
    deque.push_front(0);
    std::deque<int> long_deque(300, 5);
    std::pair<int, std::string> pair{1, "x"};
    std::tuple<int, std::string, double> tuple{1, "t", 0.5};
    std::unique_ptr<int> unique(new int(5)), empty_unique;
    std::unique_ptr<Shape> shape(new Shape);
    shape->id = 1, shape->name = "disc", shape->kind = Kind::Round, shape->size = 2.5;
    std::shared_ptr<int> shared = std::make_shared<int>(6), empty_shared;
    std::weak_ptr<int> weak = shared;
    std::optional<int> some = 7, missing;
    std::optional<std::string> text = "opt";
    std::variant<int, std::string> first = 1, second = "alt";
    std::atomic<int> atomic{9};
    std::atomic<bool> flag{true};
    Diamond diamond;
    diamond.id = 1, diamond.l = 2, diamond.r = 3, diamond.d = 4;
    Fixed<short, 2> fixed{{1, 2}};
    Empty empty;
    Kind kind = Kind::Square;
    int Shape::*member = nullptr;
    double Shape::*size = &Shape::size;
    int (Shape::*method)() const = &Shape::area;
    std::vector<int> &alias = numbers;
    char16_t sixteen = u'\u00e9';
    std::u16string utf16 = u"\u00e9t\u00e9";
    umbel_stop();
    return reference.size() + moved + name.size() + longer.size() + nothing.size() + wide.size() + view.size() + none.size()
        + names.size() + bools.size() + nested.size() + array.size() + map.size() + prices.size() + set.size() + multi.size()
        + hashed.size() + strings.size() + list.size() + deque.size() + long_deque.size() + pair.first + std::get<0>(tuple)
        + *unique + (empty_unique != nullptr) + *shared + (empty_shared != nullptr) + weak.use_count() + *some
        + missing.has_value() + text->size() + first.index() + second.index() + atomic + flag + diamond.d + fixed.items[0]
        + sizeof empty + (int)kind + (member != nullptr) + (int)(shape.get()->*size) + (method != nullptr) + alias.size()
        + sixteen + utf16.size() + forward.front();
}

int shapes::Shape::area() const { return (int)(size * size); }

int main()
{
    return many("referred", 42) == 0;
}

// gcc: -std=c++17
// C++: this, references, inheritance of every kind, templates, namespaces, lambdas, operators, pointers to members.
#include <cstddef>
#include <utility>

#include "../trace.h"

volatile long sink;

namespace shapes {
struct base {
  int id;
  explicit base(int n) : id(n) {}
  APART virtual long area() const { return id; }
  virtual ~base() = default;
};
struct coloured {
  unsigned colour : 4;
  bool is_light : 1;
};
class square : public base, protected coloured {
  double side;

 public:
  static int made;
  square(int n, double s) : base(n), coloured{5, true}, side(s) { made++; }
  APART long area() const override { return static_cast<long>(side * side) + colour; }
  APART square operator+(const square &other) const { return square(id + other.id, side + other.side); }
  APART square &grow(double by) {
    side += by;
    return *this;
  }
};
int square::made;
struct left : virtual base {
  int l = 1;
  left() : base(1) {}
};
struct right : virtual base {
  int r = 2;
  right() : base(2) {}
};
struct both : left, right {
  int b = 3;
  both() : base(9) {}
  APART int sum() { return l + r + b + id; }
};
inline namespace inside {
enum class mode : unsigned char { off, on = 7 };
}
}  // namespace shapes

template <typename T, std::size_t N>
struct fixed {
  T values[N];
  APART T at(std::size_t n) const { return values[n % N]; }
};

template <typename... Parts>
APART long added(Parts... parts) {
  return (0 + ... + static_cast<long>(parts));
}

APART int by_reference(int &changed, const double &read, int &&moved, const shapes::base &any) {
  changed += moved;
  return changed + static_cast<int>(read) + static_cast<int>(any.area());
}

struct holder {
  int &target;
  const char *const name;
  int holder::*member;
  int number;
};
APART int held(const holder &h) {
  int holder::*which = h.member;
  return h.target + h.*which;
}
APART shapes::mode switched(shapes::mode m) { return m == shapes::mode::on ? shapes::mode::off : shapes::mode::on; }
APART std::pair<int, double> paired(int n) { return {n, n / 2.0}; }
APART void *where(std::nullptr_t, void *p) { return p; }

struct copied {
  int n;
  explicit copied(int m) : n(m) {}
  copied(const copied &other) : n(other.n + 1) {}
  ~copied() { sink = sink + n; }
};
APART copied passed(copied c) { return c; }

APART int thrown(int n) {
  try {
    if (n & 1) throw n;
    return n;
  } catch (int caught) {
    return caught * 2;
  }
}

int main() {
  long total = 0;
  shapes::both diamond;
  fixed<short, 3> shorts{{1, 2, 3}};
  fixed<shapes::coloured, 2> colours{{{1, true}, {2, false}}};
  for (int n = 0; n < 6; n++) {
    shapes::square a(n, 1.5), b(n + 1, 2);
    const shapes::base &polymorphic = a;
    total += polymorphic.area() + (a + b).grow(n).area() + diamond.sum();
    total += shorts.at(static_cast<std::size_t>(n)) + colours.at(1).colour;
    total += added(n, 2L, 'c', 1.5) + added();
    int changed = n;
    total += by_reference(changed, 0.5, n + 1, b);
    holder h{changed, "held", &holder::number, n};
    total += held(h) + static_cast<int>(switched(n & 1 ? shapes::mode::on : shapes::mode::off));
    total += paired(n).first + (where(nullptr, &a) == &a) + passed(copied(n)).n + thrown(n);
    auto lambda = [&changed, n](int by) { return changed + n + by; };
    total += lambda(3);
  }
  return total == 0;
}

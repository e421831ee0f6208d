// Data as programs have it: members, a list, strings, a vector, a map; and a caller's variables.
#include <map>
#include <string>
#include <vector>
#include "burst.h"

struct Node {
  int number;
  Node *next;
};

struct Particle {
  double momentum[4];
  std::string name;
  Particle *mother;
  const std::vector<double> *weights;
};

#define TRACED __attribute__((noinline, noclone))

TRACED long look(const Particle &particle, const std::vector<int> &hits, const std::map<int, std::string> &names, Node *list) {
  return static_cast<long>(particle.name.size() + hits.size() + names.size()) + list->number;
}

TRACED long event(long number, const Particle &particle, const std::vector<int> &hits, const std::map<int, std::string> &names, Node *list) {
  Node first{static_cast<int>(number), list};
  double scale = static_cast<double>(number) / 3;
  __asm__ volatile("" : : "r"(&first), "x"(scale) : "memory");
  return look(particle, hits, names, &first) + static_cast<long>(scale);
}

PLAIN int main(int count, char **arguments) {
  long calls = count > 1 ? atol(arguments[1]) : 1000;
  Node third{3, nullptr}, second{2, &third};
  std::vector<double> weights{1, 0.5, 0.25};
  Particle mother{{1, 2, 3, 4}, "Z0", nullptr, &weights};
  Particle particle{{5, 6, 7, 8}, "a muon, with a name that needs memory of its own", &mother, &weights};
  std::vector<int> hits{1, 1, 2, 3, 5, 8, 13, 21};
  std::map<int, std::string> names{{1, "one"}, {2, "two"}, {3, "three"}, {4, "four"}};
  struct kind deep = {"deep", 0};
  for (int burst = 0; burst < BURSTS; burst++) BURST(&deep, 4, calls, event(number, particle, hits, names, &second));
  print(&deep, 1);
  return 0;
}

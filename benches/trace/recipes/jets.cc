// Finds jets in events of its own making: `jets EVENTS PARTICLES`. The same numbers each time.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "fastjet/ClusterSequence.hh"

static double uniform() {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (state >> 11) / 9007199254740992.0;
}

int main(int argc, char **argv) {
  int events = argc > 1 ? atoi(argv[1]) : 10;
  int particles = argc > 2 ? atoi(argv[2]) : 100;
  double sum = 0;
  size_t found = 0;
  for (int event = 0; event < events; event++) {
    std::vector<fastjet::PseudoJet> input;
    for (int n = 0; n < particles; n++) {
      double pt = 0.5 - 5 * log(uniform() + 1e-12), rapidity = 8 * uniform() - 4, phi = 6.283185307 * uniform();
      input.push_back(fastjet::PseudoJet(pt * cos(phi), pt * sin(phi), pt * sinh(rapidity), pt * cosh(rapidity)));
    }
    fastjet::JetDefinition definition(fastjet::antikt_algorithm, 0.6, event % 2 ? fastjet::N2Plain : fastjet::N2Tiled);
    fastjet::ClusterSequence sequence(input, definition);
    for (const fastjet::PseudoJet &jet : sorted_by_pt(sequence.inclusive_jets(20.0))) {
      sum += jet.perp();
      found++;
    }
  }
  printf("%zu jets, %.9g\n", found, sum);
}

// Nothing is timed before all ways to call a network have given the same.
#ifndef DYNCOMPILE_BENCHMARKS_ALIKE_HPP
#define DYNCOMPILE_BENCHMARKS_ALIKE_HPP

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dyncompile/dyncompile.hpp>
#include <vector>

/// Ends the program if outputs are not the same, byte for byte.
inline void check_alike(const char* name, const std::vector<float>& found,
                        const std::vector<float>& expected) {
  if (found.size() == expected.size() &&
      std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0) {
    return;
  }
  std::fprintf(stderr, "%s: other outputs than what it is timed against.\n", name);
  std::exit(1);
}

inline std::vector<float> copied(const dyncompile::Outputs& outputs) {
  const float* first = outputs[0].data<float>();
  return {first, first + outputs[0].size()};
}

#endif

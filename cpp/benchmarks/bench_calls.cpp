// What a call costs beside a bare one: bench_calls NET SECONDS bare|ours prints JSON.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "alike.hpp"
#include "allocations.hpp"
#include "subject.hpp"
#include "turns.hpp"

namespace {

/// Allocations of one call, the least of some means: now and then ONNX Runtime makes a few more.
double allocations_of(const Contender& one) {
  constexpr int repeats = 5, calls = 100;
  double least = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const std::size_t before = allocations();
    for (int number = 0; number < calls; ++number) one.call();
    least = std::min(least, static_cast<double>(allocations() - before) / calls);
  }
  return least;
}

void check(const Subject& subject, const dyncompile::Governor& governor) {
  const Ours& ours = subject.ours();
  std::vector<float> expected = ours.buffer(), buffers = ours.buffer(), governed = ours.buffer();
  subject.run_bare(expected);
  ours.run_into(buffers);
  ours.run_governed(governor, governed);
  check_alike("buffers", buffers, expected);
  check_alike("outputs", copied(ours.run()), expected);
  check_alike("governed", governed, expected);
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) {
    std::cerr << "usage: bench_calls NET SECONDS bare|ours\n";
    return 2;
  }
  const Subject subject(words[1], words[3]);
  const Ours& ours = subject.ours();
  // On a Net of its own: what it measures at other points would leave ours another heap than bare.
  const dyncompile::Governor governor = Ours(words[1]).governor();
  check(subject, governor);
  std::vector<float> scores = ours.buffer();
  const std::vector<Contender> contenders = {
      {"bare", [&] { subject.run_bare(scores); }},
      {"buffers", [&] { ours.run_into(scores); }},
      {"outputs", [&] { ours.run(); }},
      {"governed", [&] { ours.run_governed(governor, scores); }},
  };
  nlohmann::json found = time_in_turns(contenders, std::atof(words[2]));
  for (const Contender& one : contenders) found[one.name]["allocations"] = allocations_of(one);
  std::cout << found << '\n';
}

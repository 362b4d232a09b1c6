// What it costs that decisions are reported: bench_telemetry PLAIN TELLING SECONDS prints JSON.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "alike.hpp"
#include "ours.hpp"
#include "turns.hpp"

int main(int count, char** words) {
  if (count != 4) {
    std::cerr << "usage: bench_telemetry PLAIN TELLING SECONDS\n";
    return 2;
  }
  const Ours plain(words[1]), telling(words[2]);
  std::vector<float> expected = plain.buffer(), scores = telling.buffer();
  plain.run_into(expected);
  telling.run_into(scores);
  check_alike("telling", scores, expected);
  check_alike("trace", copied(telling.trace().first), expected);
  const double seconds = std::atof(words[3]) / 2;
  nlohmann::json found = time_in_turns({{"buffers", [&] { plain.run_into(scores); }},
                                        {"telling", [&] { telling.run_into(scores); }}},
                                       seconds);
  found.update(time_in_turns(
      {{"outputs", [&] { plain.run(); }}, {"trace", [&] { telling.trace(); }}}, seconds));
  std::cout << found << '\n';
}

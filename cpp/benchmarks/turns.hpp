// Times calls in turns, so that drift of the machine hits all of them alike.
#ifndef DYNCOMPILE_BENCHMARKS_TURNS_HPP
#define DYNCOMPILE_BENCHMARKS_TURNS_HPP

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// What is timed, and what it is called.
struct Contender {
  std::string name;
  std::function<void()> call;
};

/// Nanoseconds of this thread, which does all the work of a call.
inline double thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

inline double wall_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Microseconds of one of so many calls, behind one that is not timed: it brings the session of the
/// contender back into the caches.
inline double us_of(const Contender& one, int calls) {
  one.call();
  const double start = thread_ns();
  for (int number = 0; number < calls; ++number) one.call();
  return (thread_ns() - start) / 1e3 / calls;
}

/// How many calls take some milliseconds.
inline int calls_per_turn(const Contender& one) {
  constexpr double turn_us = 4e3;
  constexpr int warm_up = 10;
  us_of(one, warm_up);
  return std::max(1, static_cast<int>(turn_us / us_of(one, warm_up)));
}

/// By name: "us" of a call, and "beyond_us", what it takes more than the first in the same round.
///
/// Both are medians over rounds, of which there are five at least. Who begins a round takes turns.
inline nlohmann::json time_in_turns(const std::vector<Contender>& contenders, double seconds) {
  constexpr std::size_t least_rounds = 5;
  const std::size_t count = contenders.size();
  std::vector<int> calls;
  for (const Contender& one : contenders) calls.push_back(calls_per_turn(one));
  std::vector<std::vector<double>> us(count), beyond(count);
  const double end = wall_s() + seconds;
  for (std::size_t round = 0; round < least_rounds || wall_s() < end; ++round) {
    for (std::size_t step = 0; step < count; ++step) {
      const std::size_t which = (round + step) % count;
      us[which].push_back(us_of(contenders[which], calls[which]));
    }
    for (std::size_t which = 0; which < count; ++which) {
      beyond[which].push_back(us[which].back() - us[0].back());
    }
  }
  nlohmann::json found;
  for (std::size_t which = 0; which < count; ++which) {
    found[contenders[which].name] = {{"us", median(us[which])},
                                     {"beyond_us", median(beyond[which])}};
  }
  return found;
}

#endif

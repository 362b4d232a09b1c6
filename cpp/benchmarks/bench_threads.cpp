// How calls scale over threads beside bare ones: bench_threads NET THREADS ROUNDS prints JSON.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "subject.hpp"

namespace {

constexpr std::chrono::milliseconds slice(250);

/// Calls per second that a number of threads make together.
template <class Call>
double rate_of(const Subject& subject, int threads, Call call) {
  std::atomic<bool> ended{false};
  std::atomic<std::int64_t> calls{0};
  std::vector<std::thread> crew;
  for (int number = 0; number < threads; ++number) {
    crew.emplace_back([&] {
      std::vector<float> scores = subject.scores();
      std::int64_t made = 0;
      for (; !ended; ++made) (subject.*call)(scores);
      calls += made;
    });
  }
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(slice);
  ended = true;
  for (std::thread& thread : crew) thread.join();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return static_cast<double>(calls) / taken.count();
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) {
    std::cerr << "usage: bench_threads NET THREADS ROUNDS\n";
    return 2;
  }
  const Subject subject(words[1]);
  const int threads = std::atoi(words[2]), rounds = std::atoi(words[3]);
  auto rates = nlohmann::json::array();
  for (int round = 0; round < rounds; ++round) {
    const double bare = rate_of(subject, 1, &Subject::run_bare);
    const double ours = rate_of(subject, 1, &Subject::run_ours);
    const double many_bare = rate_of(subject, threads, &Subject::run_bare);
    const double many_ours = rate_of(subject, threads, &Subject::run_ours);
    rates.push_back(
        {{"bare", bare}, {"ours", ours}, {"many_bare", many_bare}, {"many_ours", many_ours}});
  }
  std::cout << rates << '\n';
}

// How calls scale over threads beside bare ones: bench_threads NET THREADS SECONDS bare|ours
// prints JSON.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "alike.hpp"
#include "subject.hpp"
#include "turns.hpp"

namespace {

using Call = void (Subject::*)(std::vector<float>&) const;

constexpr std::chrono::milliseconds slice(100);

/// Calls per second that a number of threads make together.
double rate_of(const Subject& subject, int threads, Call call) {
  std::atomic<int> ready{0};
  std::atomic<bool> has_begun{false}, has_ended{false};
  std::atomic<std::int64_t> calls{0};
  std::vector<std::thread> crew;
  for (int number = 0; number < threads; ++number) {
    crew.emplace_back([&] {
      std::vector<float> scores = subject.ours().buffer();
      (subject.*call)(scores);
      ++ready;
      while (!has_begun) std::this_thread::yield();
      std::int64_t made = 0;
      for (; !has_ended; ++made) (subject.*call)(scores);
      calls += made;
    });
  }
  while (ready < threads) std::this_thread::yield();
  const double start = wall_s();
  has_begun = true;
  std::this_thread::sleep_for(slice);
  has_ended = true;
  for (std::thread& thread : crew) thread.join();
  return static_cast<double>(calls) / (wall_s() - start);
}

struct Crew {
  int threads;
  Call call;
};

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::cerr << "usage: bench_threads NET THREADS SECONDS bare|ours\n";
    return 2;
  }
  const Subject subject(words[1], words[4]);
  std::vector<float> expected = subject.ours().buffer(), scores = expected;
  subject.run_bare(expected);
  subject.run_ours(scores);
  check_alike("ours", scores, expected);
  const int threads = std::atoi(words[2]);
  const std::array<Crew, 4> crews = {Crew{1, &Subject::run_bare}, Crew{1, &Subject::run_ours},
                                     Crew{threads, &Subject::run_bare},
                                     Crew{threads, &Subject::run_ours}};
  std::vector<double> bare, ours, share;
  const double end = wall_s() + std::atof(words[3]);
  for (std::size_t round = 0; round == 0 || wall_s() < end; ++round) {
    std::array<double, 4> rate{};
    for (std::size_t step = 0; step < crews.size(); ++step) {  // who begins takes turns
      const std::size_t which = (round + step) % crews.size();
      rate[which] = rate_of(subject, crews[which].threads, crews[which].call);
    }
    bare.push_back(rate[2] / rate[0]);
    ours.push_back(rate[3] / rate[1]);
    share.push_back(ours.back() / bare.back());
  }
  const nlohmann::json found = {
      {"bare", median(bare)}, {"ours", median(ours)}, {"share", median(share)}};
  std::cout << found << '\n';
}

// What a call costs beside a bare one: bench_calls NET SECONDS prints JSON.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>

#include "subject.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace

// Whatever is allocated in this process, in ONNX Runtime too, is counted.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using Clock = std::chrono::steady_clock;

constexpr int calls_at_once = 20;

double ns_of(const std::function<void()>& call) {
  const auto start = Clock::now();
  for (int number = 0; number < calls_at_once; ++number) call();
  const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
  return taken.count() / calls_at_once;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double allocations_of(const std::function<void()>& call) {
  constexpr int calls = 1000;
  const std::size_t before = allocations;
  for (int number = 0; number < calls; ++number) call();
  return static_cast<double>(allocations - before) / calls;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::cerr << "usage: bench_calls NET SECONDS\n";
    return 2;
  }
  const Subject subject(words[1]);
  std::vector<float> scores = subject.scores();
  const std::array<std::function<void()>, 3> calls = {[&] { subject.run_bare(scores); },
                                                      [&] { subject.run_ours(scores); },
                                                      [&] { subject.run_owned(); }};
  for (const auto& call : calls) ns_of(call);
  std::array<std::vector<double>, 3> ns;
  std::array<std::vector<double>, 3> beyond;
  const auto end = Clock::now() + std::chrono::duration<double>(std::atof(words[2]));
  for (std::size_t first = 0; Clock::now() < end; ++first) {
    std::array<double, 3> taken{};
    for (std::size_t step = 0; step < calls.size(); ++step) {  // who is first takes turns
      const std::size_t which = (first + step) % calls.size();
      taken[which] = ns_of(calls[which]);
    }
    for (std::size_t which = 0; which < calls.size(); ++which) {
      ns[which].push_back(taken[which]);
      beyond[which].push_back(taken[which] - taken[0]);
    }
  }
  const nlohmann::json found = {
      {"rounds", ns[0].size()},
      {"bare_ns", median(ns[0])},
      {"ours_ns", median(ns[1])},
      {"owned_ns", median(ns[2])},
      {"ours_beyond_bare_ns", median(beyond[1])},
      {"owned_beyond_bare_ns", median(beyond[2])},
      {"bare_allocations", allocations_of(calls[0])},
      {"ours_allocations", allocations_of(calls[1])},
      {"owned_allocations", allocations_of(calls[2])},
  };
  std::cout << found << '\n';
}

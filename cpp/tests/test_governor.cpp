#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dyncompile/governor.hpp"
#include "governor_impl.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace

// Not inlined, or g++ would see memory of one function given back to another.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size ? size : 1);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

using namespace dyncompile;

namespace {

const double infinity = std::numeric_limits<double>::infinity();
const std::vector<Knob> knobs = {{"level", Levels{{1.0, 2.0, 4.0, 8.0}, 3}},
                                 {"t", Threshold{{0.5, 0.5}, true, 0, 1}}};

OperatingPoint at(std::int64_t level, double t = 0.5) {
  return {{"level", level}, {"t", std::vector<double>{t, t}}};
}

Latency latency(OperatingPoint point, double ms) {
  return Latency::of(std::move(point), {ms}, 1, false);
}

/// A network whose calls move a clock: 1, 2, 4 and 8 ms by level, times a load.
struct Machine {
  detail::Call call() {
    return {[this](Inputs, Settings settings) {
              run(settings);
              return Outputs(nullptr, {});
            },
            [this](Inputs, Settings settings, Buffers) { run(settings); }};
  }

  void run(Settings settings) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (settings.size() != 2) throw std::runtime_error("a knob too many");
    for (const Setting& setting : settings) {
      if (setting.knob == "level") level = setting.value.level();
      if (setting.knob == "t") t = setting.value.number(0);
    }
    now += static_cast<std::int64_t>(1e6 * std::ldexp(load, static_cast<int>(level)));
    if (does_fail) throw std::runtime_error("it failed");
    ++calls;
  }

  Governor within(double ms, GovernOptions options = {}) {
    Calibration known;
    known.defaults = at(3);
    std::vector<OperatingPoint> points;
    for (const double threshold : {0.5, 1.0}) {
      for (std::int64_t each = 0; each < 4; ++each) {
        points.push_back(at(each, threshold));
        known.latencies.push_back(latency(points.back(), std::ldexp(1, static_cast<int>(each))));
      }
    }
    options.clock = [this] {
      const std::lock_guard<std::mutex> lock(mutex);
      return now;
    };
    return detail::make_governor(call(), knobs, {}, known, ms, options, points);
  }

  std::mutex mutex;
  std::int64_t now = 0, level = -1;
  double t = -1, load = 1;
  bool does_fail = false;
  std::size_t calls = 0;
};

}  // namespace

TEST_CASE("the best point that fits runs") {
  for (const auto& [ms, level, fits] : {std::tuple{infinity, 3, true}, std::tuple{9.0, 3, true},
                                        std::tuple{7.9, 2, true}, std::tuple{0.5, 0, false}}) {
    Machine machine;
    const Governor governor = machine.within(ms);
    CHECK(governor.picked().point == at(level));
    Pick pick;
    governor.run({}, {}, &pick);
    CHECK((pick.point == at(level) && pick.fits() == fits && pick.load == 1));
    CHECK(machine.level == level);
    CHECK(governor.points().size() == 4);
  }
}

TEST_CASE("a pick says what it is") {
  const Pick pick{{{"level", std::int64_t{2}}, {"t", 0.25}}, {4, 95}, 3.14159, 1};
  CHECK(pick.to_string() == "level=2 t=0.25: 3.14 ms (p95, load 1.00) of 4 ms");
  CHECK(Pick{{}, {0.5, 50}, 1.05, 2}.to_string() ==
        "no knobs: 1.05 ms (p50, load 2.00); nothing fits 0.5 ms");
  CHECK(Pick{{}, {4, 50}, std::nullopt, 1}.to_string() == "no knobs: not measured");
}

TEST_CASE("it goes down under load, and up when the load is gone") {
  Machine machine;
  const Governor governor = machine.within(10);
  for (int call = 0; call < 5; ++call) governor.run({}, {}, Buffers());
  CHECK(machine.level == 3);
  machine.load = 3;
  for (int call = 0; call < 6; ++call) governor.run({}, {}, Buffers());
  CHECK(machine.level == 1);
  CHECK(governor.picked().load == doctest::Approx(3).epsilon(0.1));
  machine.load = 1;
  while (machine.now < 5'000'000'000) governor.run({}, {}, Buffers());
  CHECK(machine.level == 3);
}

TEST_CASE("knobs that are given are fixed") {
  Machine machine;
  const Governor governor = machine.within(5);
  const std::vector<float> ones = {1, 1};
  Pick pick;
  governor.run({}, {{"t", ones}}, &pick);
  CHECK((pick.point == at(2, 1) && pick.fits() && machine.t == 1));
  governor.run({}, {{"level", 3}}, &pick);
  CHECK((pick.point == at(3) && !pick.fits() && pick.expected_ms == 8));
  machine.load = 100;
  for (int call = 0; call < 50; ++call) governor.run({}, {{"t", 0.1F}}, &pick);
  CHECK((pick.point == at(2, 0.1) && !pick.expected_ms && machine.t == doctest::Approx(0.1)));
  CHECK(governor.picked().to_string() == "level=2 t=[0.1, 0.1]: not measured");
  governor.run({}, {}, &pick);
  CHECK(pick.point == at(2));
}

TEST_CASE("a fixed value out of range is refused, and nothing runs") {
  Machine machine;
  const Governor governor = machine.within(5);
  CHECK_THROWS_WITH_AS(governor.run({}, {{"level", 9}}),
                       "knob 'level': 9 is not a level. Give a whole number from 0 to 3.",
                       KnobError);
  CHECK(machine.calls == 0);
  governor.run({}, {{"level", 0}});
  CHECK(machine.level == 0);
}

TEST_CASE("what is no knob, or given twice, is left to the network to refuse") {
  Machine machine;
  const Governor governor = machine.within(5);
  CHECK_THROWS_WITH(governor.run({}, {{"speed", 1}}), "a knob too many");
  CHECK_THROWS_WITH(governor.run({}, {{"level", 1}, {"level", 2}}), "a knob too many");
}

TEST_CASE("calls that fail count for nothing") {
  Machine machine;
  const Governor governor = machine.within(10);
  machine.does_fail = true;
  machine.load = 50;
  for (int call = 0; call < 20; ++call) CHECK_THROWS(governor.run({}, {}, Buffers()));
  machine.does_fail = false;
  machine.load = 1;
  Pick pick;
  governor.run({}, {}, &pick);
  CHECK((pick.load == 1 && pick.point == at(3)));
}

TEST_CASE("calls into buffers allocate nothing") {
  Machine machine;
  const Governor governor = machine.within(5);
  const std::vector<double> several = {0.25, 0.75};
  const auto call_all = [&] {
    governor.run({}, {}, Buffers());
    governor.run({}, {{"level", 1}}, Buffers());
    governor.run({}, {{"t", 1.0}, {"level", 0}}, Buffers());
    governor.run({}, {{"t", several}}, Buffers());
  };
  call_all();
  const std::size_t before = allocations;
  for (int turn = 0; turn < 100; ++turn) call_all();
  CHECK(allocations == before);
}

TEST_CASE("several threads share a governor") {
  Machine machine;
  const Governor governor = machine.within(5);
  std::atomic<int> wrong{0};
  std::vector<std::thread> workers;
  for (int number = 0; number < 4; ++number) {
    workers.emplace_back([&, number] {
      Pick pick;
      for (int call = 0; call < 300; ++call) {
        if (number == 3) {
          governor.run({}, {{"level", 0}}, &pick);
          if (pick.point.at("level") != OwnedValue(std::int64_t{0})) ++wrong;
        } else {
          governor.run({}, {}, Buffers(), &pick);
          if (!pick.expected_ms) ++wrong;
        }
        governor.picked();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  CHECK(wrong == 0);
  CHECK(machine.calls == 1200);
}

TEST_CASE("a governor can be moved, and keeps its network alive") {
  Machine machine;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  {
    Calibration known;
    known.latencies.push_back(latency({}, 1));
    detail::Call call = machine.call();
    call.run_into = [owned](Inputs, Settings, Buffers) {};
    Governor first = detail::make_governor(std::move(call), {}, {}, known, 2, {}, {});
    owned.reset();
    Governor second = std::move(first);
    second.run({}, {}, Buffers());
    CHECK(second.picked().to_string() == "no knobs: 1 ms (p95, load 1.00) of 2 ms");
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
}

TEST_CASE("what cannot be governed is refused") {
  Machine machine;
  const auto refused = [&](double ms, GovernOptions options, const char* problem) {
    CHECK_THROWS_WITH(machine.within(ms, std::move(options)), problem);
  };
  refused(0, {}, "milliseconds: 0 is no time that a call could take. Give a positive number.");
  refused(std::nan(""), {},
          "milliseconds: nan is no time that a call could take. Give a positive number.");
  GovernOptions options;
  options.percentile = 99;
  refused(5, options, "percentile: 99 is not measured. Give 50 or 95.");
  options = {};
  options.quality = {1, 2};
  refused(5, options,
          "quality: not a number for each of 8 points. Give one per point, higher for better, such "
          "as accuracies.");
  options = {};
  options.points = {at(0), at(1, 0.25), at(2, 0.25)};
  refused(5, options,
          "latencies: level=1 t=[0.25, 0.25] and 1 more points not measured on this machine. "
          "Measure them with Net::calibrate, and give what it returns.");
  CHECK_THROWS_WITH_AS(
      detail::make_governor({}, knobs, {}, {}, 5, {}, {at(0)}),
      "points: the artifact has one operating point, so there is nothing to choose from. Give "
      "points, as in {{{name, value}}, ...}, of its knobs level, t.",
      InputError);
}

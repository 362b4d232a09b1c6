#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "calibrating.hpp"
#include "calibration_samples.hpp"
#include "dyncompile/calibration.hpp"
#include "encoded_point.hpp"
#include "machine.hpp"

using namespace dyncompile;

namespace {

constexpr double brief = 1e-6;
const double infinity = std::numeric_limits<double>::infinity();
const std::vector<Knob> knobs = {{"level", Levels{{1.0, 2.0, 4.0}, 2}},
                                 {"t", Threshold{{0.7}, false, 0, 1}}};

/// A clock, and a network whose calls take as many ns as its inputs and knobs say.
struct Machine {
  struct Made {
    std::int64_t sample, point;
  };

  void call(Inputs inputs, Settings settings) {
    const auto* sample = static_cast<const std::int64_t*>(inputs.begin()->view.data());
    const std::int64_t point = settings.begin()->value.level();
    now += 1000 * *sample + point;
    calls.push_back({*sample, point});
  }

  std::int64_t now = 0;
  std::vector<Made> calls;
};

struct Timed {
  Timed(std::int64_t points, std::int64_t samples, double seconds) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t number = 1; number <= samples; ++number) numbers.push_back(number);
    std::vector<Sample> feeds;
    for (const std::int64_t& number : numbers) feeds.push_back({{"x", {&number, Shape()}}});
    std::vector<std::vector<Setting>> settings;
    for (std::int64_t point = 0; point < points; ++point) settings.push_back({{"level", point}});
    const auto call = [this](Inputs inputs, Settings given) { machine.call(inputs, given); };
    const auto ms =
        detail::time_points(call, settings, feeds, seconds, [this] { return machine.now; });
    for (const auto& taken : ms) {
      ns.emplace_back();
      for (const double each : taken) ns.back().push_back(std::llround(each * 1e6));
    }
  }

  Machine machine;
  std::vector<std::vector<std::int64_t>> ns;
};

const std::vector<Port> ports = {{"x", ElementType::float32, {1, 3}, {"", ""}},
                                 {"n", ElementType::int64, {-1}, {"N"}}};
const std::vector<OperatingPoint> levels = {{{"level", std::int64_t{0}}},
                                            {{"level", std::int64_t{1}}}};
const std::vector<OperatingPoint> none;

/// A network that has run as often as it says.
struct Network {
  detail::Call call() {
    return {[this](Inputs, Settings settings) {
              ++calls;
              REQUIRE(settings.size() == 2);
              if (!problem.empty()) throw InputError(problem, "input 'n'", "Give others.");
              return Outputs(nullptr, {});
            },
            {}};
  }
  Calibration calibrate(const std::vector<Sample>& samples,
                        const std::vector<OperatingPoint>& points, double seconds = brief) {
    return detail::calibrate(call(), {ports, knobs, levels}, {}, samples, points, seconds);
  }

  int calls = 0;
  std::string problem;
};

}  // namespace

TEST_CASE("a latency sums up its calls") {
  std::vector<double> ms;
  for (int each = 100; each >= 0; --each) ms.push_back(each);
  const Latency found = Latency::of({}, ms, 7, true);
  CHECK((found.median_ms == 50 && found.mean_ms == 50 && found.p95_ms == 95));
  CHECK((found.calls == 101 && found.samples == 7 && found.drawn));
  CHECK(Latency::of({}, {3}, 1, false).p95_ms == 3);
  CHECK(std::isnan(Latency::of({}, {1, std::nan(""), 2}, 1, false).median_ms));
  CHECK_THROWS_AS(Latency::of({}, {}, 1, false), InputError);
}

TEST_CASE("a full point has all knobs, by the shortest numbers that mean the same floats") {
  const OperatingPoint point = detail::full_point(knobs, {{"t", static_cast<double>(0.1F)}});
  CHECK(point == OperatingPoint{{"level", std::int64_t{2}}, {"t", 0.1}});
  CHECK_THROWS_WITH_AS(detail::full_point(knobs, {{"speed", 1.0}}),
                       "knob 'speed': the network has no such knob. Its knobs are level, t.",
                       KnobError);
  CHECK_THROWS_AS(detail::full_point(knobs, {{"level", std::int64_t{3}}}), KnobError);
}

TEST_CASE("json keeps everything") {
  Calibration known;
  known.conditions = {"a \xC3\xA4 processor", 4, "1.2", std::nullopt, {"a", "b {\"c\": 1}"}};
  known.defaults = {{"level", std::int64_t{2}}, {"t", std::vector<double>{0.7, infinity}}};
  known.latencies.push_back(
      Latency::of({{"level", std::int64_t{1}}, {"t", -infinity}}, {1, 2, 9}, 2, true));
  known.date = "2030-01-01";
  const Calibration found = Calibration::from_json(known.to_json(), "here");
  CHECK(found.conditions == known.conditions);
  CHECK(found.defaults == known.defaults);
  CHECK(found.latencies.at(0).point == known.latencies[0].point);
  CHECK(found.latencies[0].mean_ms == known.latencies[0].mean_ms);
  CHECK(found.to_json() == known.to_json());
  known.conditions.threads = 3;
  CHECK(Calibration::from_json(known.to_json(), "here").conditions.threads == 3);
  CHECK_FALSE(found.conditions == known.conditions);
}

TEST_CASE("every point is timed on the same samples") {
  const Timed timed(3, 10, 100e-6);
  CHECK(timed.ns[0].size() >= detail::least_calls);
  for (std::size_t turn = 0; turn < timed.ns[0].size(); ++turn) {
    CHECK(timed.ns[1][turn] == timed.ns[0][turn] + 1);
    CHECK(timed.ns[2][turn] == timed.ns[0][turn] + 2);
  }
}

TEST_CASE("every sample is timed before one is timed twice, in drawn order") {
  const Timed timed(2, 8, 1e-3);
  REQUIRE(timed.ns[0].size() > 16);
  const auto first = timed.ns[0].begin();
  const std::vector<std::int64_t> lap(first, first + 8), next(first + 8, first + 16);
  CHECK(std::set<std::int64_t>(lap.begin(), lap.end()).size() == 8);
  CHECK(std::set<std::int64_t>(next.begin(), next.end()).size() == 8);
  CHECK(lap != next);
}

TEST_CASE("few calls are made however long they take, and time is shared") {
  const Timed few(4, 3, 1e-12);
  for (const auto& taken : few.ns) CHECK(taken.size() == detail::least_calls);
  CHECK(few.machine.calls.size() == 4 * (detail::warm_up_calls + 2 * detail::least_calls));
  const Timed shared(4, 1, 1e-3);
  CHECK(shared.machine.now >= 1'000'000);
  CHECK(shared.machine.now < 1'050'000);
}

TEST_CASE("points take turns at being first") {
  const Timed timed(3, 1, 1e-12);
  std::vector<std::int64_t> order;
  for (std::size_t at = 3 * detail::warm_up_calls; order.size() < 18; ++at) {
    order.push_back(timed.machine.calls[at].point);
  }
  CHECK(order == std::vector<std::int64_t>{0, 0, 1, 1, 2, 2, 1, 1, 2, 2, 0, 0, 2, 2, 0, 0, 1, 1});
}

TEST_CASE("what is timed follows the sample before at the same point") {
  const Timed timed(2, 9, 1e-12);
  const auto& calls = timed.machine.calls;
  for (std::size_t at = 2 * detail::warm_up_calls; at + 1 < calls.size(); at += 2) {
    CHECK(calls[at].point == calls[at + 1].point);
    if (at >= 2 * detail::warm_up_calls + 4) CHECK(calls[at].sample == calls[at - 3].sample);
  }
}

TEST_CASE("drawn samples are seeded noise of the type of each input") {
  std::vector<Port> all;
  for (int number = 0; number <= static_cast<int>(ElementType::uint64); ++number) {
    const auto type = static_cast<ElementType>(number);
    all.push_back({std::string(name_of(type)), type, {-1, 500}, {"N", ""}});
  }
  const auto drawn = detail::draw_samples(all), again = detail::draw_samples(all);
  REQUIRE(drawn.samples.size() > 1);
  for (std::size_t at = 0; at < all.size(); ++at) {
    const TensorView& view = drawn.samples[0][at].view;
    CHECK((view.type() == all[at].type && view.shape() == Shape{1, 500}));
    CHECK(std::memcmp(view.data(), again.samples[0][at].view.data(), view.bytes()) == 0);
    const bool is_float = all[at].name.find("float") != std::string::npos;
    const std::vector<char> zeros(view.bytes());
    CHECK((std::memcmp(view.data(), zeros.data(), zeros.size()) != 0) == is_float);
    CHECK((std::memcmp(view.data(), drawn.samples[1][at].view.data(), view.bytes()) != 0) ==
          is_float);
  }
  const auto* halves = static_cast<const float16*>(drawn.samples[0][1].view.data());
  const auto* brains = static_cast<const bfloat16*>(drawn.samples[0][2].view.data());
  double squares = 0, brain_squares = 0;
  for (int at = 0; at < 500; ++at) {
    const int exponent = (halves[at].bits >> 10 & 31) - 15, fraction = halves[at].bits & 1023;
    squares += std::pow(std::ldexp(1 + fraction / 1024.0, exponent), 2);
    const std::uint32_t bits = static_cast<std::uint32_t>(brains[at].bits) << 16;
    float number = 0;
    std::memcpy(&number, &bits, sizeof number);
    brain_squares += static_cast<double>(number * number);
  }
  CHECK(squares / 500 == doctest::Approx(1).epsilon(0.2));
  CHECK(brain_squares / 500 == doctest::Approx(1).epsilon(0.2));
}

TEST_CASE("every operating point is measured") {
  Network network;
  const std::vector<float> row = {1, 2, 3};
  const std::vector<std::int64_t> more = {1, 2, 3, 4};
  const Sample sample = {{"n", {more, {4}}}, {"x", {row, {1, 3}}}};
  const Calibration found = network.calibrate({sample, sample}, none);
  REQUIRE(found.latencies.size() == 2);
  CHECK(found.at(levels[1]) == &found.latencies[1]);
  CHECK(found.at({}) == nullptr);
  CHECK((found.latencies[0].calls == 5 && found.latencies[0].samples == 2));
  CHECK_FALSE(found.latencies[0].drawn);
  CHECK(found.defaults == OperatingPoint{{"level", std::int64_t{2}}, {"t", 0.7}});
  CHECK(found.date.size() == 10);
  CHECK(found.date > "2025-01-01");
}

TEST_CASE("points are completed and measured once, with noise where there are no samples") {
  Network network;
  const Calibration found =
      network.calibrate({}, {{{"t", 0.1}}, {}, {{"t", static_cast<double>(0.1F)}}, {{"t", 0.7}}});
  REQUIRE(found.latencies.size() == 2);
  CHECK(found.latencies[0].drawn);
  CHECK(found.at({{"t", 0.1}}) == &found.latencies[0]);
  CHECK(found.at({}) == &found.latencies[1]);
}

TEST_CASE("what does not fit is refused before anything is measured") {
  Network network;
  const std::vector<float> row = {1, 2, 3};
  const std::vector<std::int64_t> more = {1, 2};
  const Input x = {"x", {row, {1, 3}}}, n = {"n", {more, {2}}};
  CHECK_THROWS_WITH_AS(network.calibrate({}, none, 0),
                       "seconds: 0 is no time to spend. Give a positive number of seconds.",
                       InputError);
  CHECK_THROWS_AS(network.calibrate({}, none, std::nan("")), InputError);
  CHECK_THROWS_AS(network.calibrate({}, none, infinity), InputError);
  CHECK_THROWS_AS(network.calibrate({}, {{{"level", std::int64_t{3}}}}), KnobError);
  CHECK_THROWS_WITH_AS(network.calibrate({{x, n}, {x}}, none),
                       "sample 1: it holds x; the inputs are x, n. Give every input, and knobs as "
                       "points.",
                       InputError);
  CHECK_THROWS_AS(network.calibrate({{x, x}}, none), InputError);
  CHECK_THROWS_WITH_AS(network.calibrate({{n, {"x", {row, {3}}}}}, none),
                       "sample 0, input 'x': float32[3] does not fit. Give float32[1, 3].",
                       InputError);
  CHECK_THROWS_AS(network.calibrate({{x, {"n", {row, {3}}}}}, none), InputError);
  CHECK(network.calls == 0);
}

TEST_CASE("noise that the network refuses asks for samples") {
  Network network;
  network.problem = "1 is too few.";
  CHECK_THROWS_WITH_AS(network.calibrate({}, none),
                       "input 'n': drawn inputs do not do: 1 is too few. Give samples.",
                       InputError);
  const std::vector<float> row = {1, 2, 3};
  const std::vector<std::int64_t> more = {1, 2};
  CHECK_THROWS_WITH_AS(network.calibrate({{{"x", {row, {1, 3}}}, {"n", {more, {2}}}}}, none),
                       "input 'n': 1 is too few. Give others.", InputError);
}

TEST_CASE("the processor has a name") { CHECK_FALSE(detail::processor().empty()); }

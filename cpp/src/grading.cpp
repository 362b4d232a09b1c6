#include "grading.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>

#include "encoded_point.hpp"

namespace dyncompile::detail {

namespace {

/// What the levels of a point compute, and the values of its other knobs.
struct Place {
  std::vector<std::int64_t> levels;
  EncodedPoint others;
};

/// The sum, or the limit that it would be beyond.
std::int64_t sum_of(std::int64_t one, std::int64_t other) noexcept {
  using Limits = std::numeric_limits<std::int64_t>;
  if (other > 0 && one > Limits::max() - other) return Limits::max();
  if (other < 0 && one < Limits::min() - other) return Limits::min();
  return one + other;
}

std::int64_t total(const std::vector<std::int64_t>& levels) {
  return std::accumulate(levels.begin(), levels.end(), std::int64_t{0}, sum_of);
}

/// What each level of a knob computes; nothing of a knob that no decision reads as it is.
std::vector<std::int64_t> work_of_levels(const Knob& knob, const std::vector<Decision>& decisions) {
  std::vector<std::int64_t> work;
  if (!knob.levels()) return work;
  for (const Decision& decision : decisions) {
    if (decision.sides.empty()) continue;
    const auto times = std::count(decision.values.begin(), decision.values.end(), knob.name);
    for (std::ptrdiff_t time = 0; time < times; ++time) {
      work.resize(knob.levels()->values.size());
      for (std::size_t level = 0; level < work.size(); ++level) {
        const std::size_t option = std::min(level, decision.sides.size() - 1);
        work[level] = sum_of(work[level], decision.sides[option].macs);
      }
    }
  }
  return work;
}

Place place_of(const OperatingPoint& point, const std::vector<Knob>& knobs,
               const std::vector<std::vector<std::int64_t>>& work) {
  Place place;
  const EncodedPoint encoded = encoded_point(knobs, point);
  for (std::size_t number = 0; number < knobs.size(); ++number) {
    if (work[number].empty()) {
      place.others.push_back(encoded[number]);
    } else {
      place.levels.push_back(work[number][static_cast<std::size_t>(encoded[number].level())]);
    }
  }
  return place;
}

bool has_less_work(const Place& one, const Place& other) {
  return one.levels != other.levels && one.others == other.others &&
         std::equal(one.levels.begin(), one.levels.end(), other.levels.begin(),
                    [](std::int64_t low, std::int64_t high) { return low <= high; });
}

}  // namespace

std::vector<double> grades_by_time(const std::vector<Latency>& latencies,
                                   const std::vector<Knob>& knobs,
                                   const std::vector<Decision>& decisions) {
  std::vector<std::vector<std::int64_t>> work;
  for (const Knob& knob : knobs) work.push_back(work_of_levels(knob, decisions));
  std::vector<Place> places;
  for (const Latency& latency : latencies) places.push_back(place_of(latency.point, knobs, work));
  std::vector<std::size_t> order(places.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t one, std::size_t other) {
    return total(places[one].levels) < total(places[other].levels);
  });
  std::vector<double> grades(places.size(), 0.0);
  for (const std::size_t number : order) {
    double grade = latencies[number].mean_ms;
    for (std::size_t other = 0; other < places.size(); ++other) {
      if (has_less_work(places[other], places[number])) {
        grade =
            std::max(grade, std::nextafter(grades[other], std::numeric_limits<double>::infinity()));
      }
    }
    grades[number] = std::max(grade, 0.0);
  }
  return grades;
}

}  // namespace dyncompile::detail

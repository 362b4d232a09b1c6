#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "dyncompile/calibration.hpp"
#include "dyncompile/errors.hpp"

namespace dyncompile {

namespace {

constexpr std::size_t block = 128, lanes = 8;

/// The sum of a block, in the order in which numpy adds.
double sum_of_block(const double* numbers, std::size_t count) {
  if (count < lanes) {
    double sum = -0.0;
    for (std::size_t at = 0; at < count; ++at) sum += numbers[at];
    return sum;
  }
  double lane[lanes];
  std::copy_n(numbers, lanes, lane);
  std::size_t at = lanes;
  for (; at + lanes <= count; at += lanes) {
    for (std::size_t number = 0; number < lanes; ++number) lane[number] += numbers[at + number];
  }
  double sum =
      ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  for (; at < count; ++at) sum += numbers[at];
  return sum;
}

/// The sum, halves first; as numpy, so that a mean is the same double.
double pairwise_sum(const double* numbers, std::size_t count) {
  if (count <= block) return sum_of_block(numbers, count);
  const std::size_t half = count / 2 - count / 2 % lanes;
  return pairwise_sum(numbers, half) + pairwise_sum(numbers + half, count - half);
}

/// A percentile of sorted numbers, interpolated linearly; as numpy, to the last bit.
double percentile(const std::vector<double>& sorted, double share) {
  const double place = static_cast<double>(sorted.size() - 1) * share;
  const auto before = static_cast<std::size_t>(place);
  if (before + 1 >= sorted.size()) return sorted.back();
  const double low = sorted[before], high = sorted[before + 1];
  const double part = place - static_cast<double>(before);
  const double difference = high - low;
  return part < 0.5 ? low + difference * part : high - difference * (1 - part);
}

}  // namespace

Latency Latency::of(OperatingPoint point, const std::vector<double>& ms, std::int64_t samples,
                    bool drawn) {
  if (ms.empty()) {
    throw InputError("no call was timed.", "ms", "Give the milliseconds of one call at least.");
  }
  Latency latency;
  latency.point = std::move(point);
  latency.mean_ms = pairwise_sum(ms.data(), ms.size()) / static_cast<double>(ms.size());
  if (std::any_of(ms.begin(), ms.end(), [](double each) { return std::isnan(each); })) {
    latency.median_ms = latency.p95_ms = std::numeric_limits<double>::quiet_NaN();
  } else {
    std::vector<double> sorted = ms;
    std::sort(sorted.begin(), sorted.end());
    latency.median_ms = percentile(sorted, 0.5);
    latency.p95_ms = percentile(sorted, 0.95);
  }
  latency.calls = static_cast<std::int64_t>(ms.size());
  latency.samples = samples;
  latency.drawn = drawn;
  return latency;
}

}  // namespace dyncompile

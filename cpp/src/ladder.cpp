#include "ladder.hpp"

#include <algorithm>
#include <cmath>

namespace dyncompile::detail {

namespace {

constexpr double least_tolerance = 0.1;
constexpr double least_ms = 1e-6;
constexpr double quantile_95 = 1.645;  // of the normal distribution
constexpr double wanted_noise = 0.02;
constexpr double low_weight = 0.01, high_weight = 0.25;

/// The weight with which an average of such calls has the noise that is wanted.
///
/// The variance of an exponentially weighted mean is `weight / (2 - weight)` of that of one.
double weight_of(double deviation) {
  if (deviation <= 0) return high_weight;
  const double ratio = wanted_noise / deviation;
  const double share = ratio * ratio;
  return std::min(std::max(2 * share / (1 + share), low_weight), high_weight);
}

}  // namespace

Rung Rung::of(const Latency& latency, int percentile, double quality) {
  const double mean_ms = std::max(latency.mean_ms, least_ms);
  const double tail = std::max(latency.p95_ms / mean_ms, 1.0);
  const double deviation = (tail - 1) / quantile_95;
  const double weight = weight_of(deviation);
  const double noise = deviation * std::sqrt(weight / (2 - weight));
  const double tolerance = std::max(least_tolerance, 5 * noise);
  const double ms = percentile == 50 ? latency.median_ms : latency.p95_ms;
  return {latency.point, ms, mean_ms, tail, quality, weight, tolerance};
}

double Rung::outlier() const noexcept { return 1 + tolerance / (4 * weight); }

double Rung::load(double estimate) const noexcept {
  return estimate > 1 + tolerance ? estimate : 1.0;
}

double Rung::expected_ms(double estimate) const noexcept { return ms * load(estimate); }

bool Rung::has_room(double estimate, double budget_ms) const noexcept {
  const bool is_idle = estimate <= 1 + tolerance / 2;
  return ms * (is_idle ? 1.0 : estimate * (1 + tolerance)) <= budget_ms;
}

Rungs by_time(const std::vector<Rung>& rungs) {
  Rungs sorted;
  for (const Rung& rung : rungs) sorted.push_back(&rung);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Rung* one, const Rung* other) {
    return one->ms != other->ms ? one->ms < other->ms : one->quality > other->quality;
  });
  return sorted;
}

Rungs ladder(const Rungs& rungs) {
  Rungs kept;
  for (const Rung* rung : rungs) {
    if (kept.empty() || rung->quality > kept.back()->quality) kept.push_back(rung);
  }
  return kept;
}

}  // namespace dyncompile::detail

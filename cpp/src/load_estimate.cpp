#include "load_estimate.hpp"

#include <algorithm>
#include <cmath>

namespace dyncompile::detail {

namespace {

double median(std::array<double, LoadEstimate::confirming_calls> ratios) noexcept {
  std::sort(ratios.begin(), ratios.end());
  constexpr std::size_t middle = ratios.size() / 2;
  static_assert(ratios.size() % 2 == 0);
  return (ratios[middle - 1] + ratios[middle]) / 2;
}

}  // namespace

void LoadEstimate::observe(const Rung& rung, double ms, bool is_new) noexcept {
  double ratio = ms / rung.mean_ms;
  const double usual = std::max(value_, 1.0) * std::max(rung.tail, least_tail);
  if (ratio <= usual) {
    beyond_count_ = 0;
  } else {
    if (!is_new) return;
    beyond_[beyond_count_++] = ratio;
    if (beyond_count_ == beyond_.size()) {
      value_ = std::max(value_, median(beyond_) / rung.tail);
      beyond_count_ = 0;
      return;
    }
    ratio = std::min(ratio, std::max(usual, value_ * rung.outlier()));
  }
  value_ += rung.weight * (ratio - value_);
}

void LoadEstimate::rest(double seconds) noexcept {
  value_ = 1 + (value_ - 1) * std::exp(-std::max(seconds, 0.0) / rest_s);
}

}  // namespace dyncompile::detail

// How much longer calls take now than they were measured to take.
#ifndef DYNCOMPILE_SRC_LOAD_ESTIMATE_HPP
#define DYNCOMPILE_SRC_LOAD_ESTIMATE_HPP

#include <array>
#include <cstddef>

#include "ladder.hpp"

namespace dyncompile::detail {

/// The exponentially weighted mean of observed over measured times.
///
/// Single outliers move it little, because no call counts as longer than `Rung::outlier`. Four in
/// a row that take longer than 95 % of their kind should are no outliers: they say at once what
/// the load is. That happens by chance too, once in 160,000 calls, and then moves little.
class LoadEstimate {
 public:
  static constexpr std::size_t confirming_calls = 4;
  static constexpr double least_tail = 1.2;
  static constexpr double rest_s = 30.0;

  /// 1 is as measured, 2 is twice as long; below 1, calls are faster.
  double value() const noexcept { return value_; }

  /// Counts a call. `is_new` says whether it began after the call before that was new had ended;
  /// one that did not may be slow for the same reason, so does not count as an outlier of its own.
  void observe(const Rung& rung, double ms, bool is_new) noexcept;

  /// Counts time in which nothing ran: what was known grows old.
  void rest(double seconds) noexcept;

 private:
  double value_ = 1.0;
  std::array<double, confirming_calls> beyond_{};
  std::size_t beyond_count_ = 0;
};

}  // namespace dyncompile::detail

#endif

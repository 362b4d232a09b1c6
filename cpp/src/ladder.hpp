// Operating points in order of what they take, for the governor to climb.
#ifndef DYNCOMPILE_SRC_LADDER_HPP
#define DYNCOMPILE_SRC_LADDER_HPP

#include <vector>

#include "dyncompile/calibration.hpp"

namespace dyncompile::detail {

/// An operating point and what a call takes there.
struct Rung {
  /// The values of all knobs.
  OperatingPoint point;
  /// What counts against the budget: that percentile of the calls, as measured.
  double ms;
  /// Their mean.
  double mean_ms;
  /// Their 95th percentile over the mean, at least 1.
  double tail;
  /// Higher is better.
  double quality;
  /// Of one call in the estimate of the load. Where calls differ much by their data, many have to
  /// be averaged.
  double weight;
  /// Load up to here cannot be told from chance, as a share.
  double tolerance;

  /// Reads what was measured; the percentile is 50 or 95.
  static Rung of(const Latency& latency, int percentile, double quality);

  /// How many times the mean a call counts as at most: it moves a quarter of tolerance.
  double outlier() const noexcept;
  /// The load that counts here: 1 where the estimate may be one by chance.
  double load(double estimate) const noexcept;
  /// What a call takes under load, at the percentile that counts.
  double expected_ms(double estimate) const noexcept;
  /// Whether it would fit under somewhat more load than there is.
  bool has_room(double estimate, double budget_ms) const noexcept;
};

using Rungs = std::vector<const Rung*>;

/// The rungs from fastest to slowest; of those as fast, the best first.
Rungs by_time(const std::vector<Rung>& rungs);

/// Of rungs `by_time`, those that no other beats in both, from fastest to best.
Rungs ladder(const Rungs& rungs);

}  // namespace dyncompile::detail

#endif

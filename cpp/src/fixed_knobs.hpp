// What a caller fixes for one call, checked; made once and used again, so that calls allocate
// nothing.
#ifndef DYNCOMPILE_SRC_FIXED_KNOBS_HPP
#define DYNCOMPILE_SRC_FIXED_KNOBS_HPP

#include <cstddef>
#include <vector>

#include "dyncompile/lists.hpp"
#include "encoded_point.hpp"

namespace dyncompile::detail {

/// Settings by name of a network's knobs, some of which may be of no knob: who runs it says so.
class FixedKnobs {
 public:
  explicit FixedKnobs(const std::vector<Knob>& knobs);

  /// Takes the settings of a call, which live longer than that call. Throws KnobError if a value is
  /// out of range.
  void set(const std::vector<Knob>& knobs, Settings given);

  /// Whether any knob is fixed.
  bool is_any() const noexcept;
  /// Whether a point has these values.
  bool agree_with(const EncodedPoint& point) const noexcept;
  /// Puts these values in place of those of a point.
  void lay_over(EncodedPoint& point) const;

  /// The settings given, and those of a point for the other knobs; good until the next.
  Settings with(const std::vector<Setting>& point);

 private:
  std::vector<bool> is_fixed_;  // one per knob
  EncodedPoint values_;
  Settings given_;
  std::vector<Setting> together_;
};

}  // namespace dyncompile::detail

#endif

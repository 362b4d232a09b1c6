// Values of knobs as the graph is fed them, to be compared and read back.
#ifndef DYNCOMPILE_SRC_ENCODED_POINT_HPP
#define DYNCOMPILE_SRC_ENCODED_POINT_HPP

#include <cstdint>
#include <vector>

#include "dyncompile/knobs.hpp"

namespace dyncompile::detail {

/// A value of one knob.
class EncodedValue {
 public:
  /// The default.
  explicit EncodedValue(const Knob& knob);
  /// Throws KnobError if the knob cannot have this value.
  EncodedValue(const Knob& knob, const KnobValue& value);

  /// Takes another value of the same knob, without allocation. Throws KnobError.
  void set(const Knob& knob, const KnobValue& value);

  /// The shortest numbers that mean the same floats, or the level.
  OwnedValue plain(const Knob& knob) const;

  std::int64_t level() const noexcept { return level_; }

  /// Whether the graph would be fed the same bytes.
  friend bool operator==(const EncodedValue& one, const EncodedValue& other) noexcept;
  friend bool operator!=(const EncodedValue& one, const EncodedValue& other) noexcept {
    return !(one == other);
  }

 private:
  std::int64_t level_ = 0;
  std::vector<float> thresholds_;
};

/// One value for each knob, in the order of the graph.
using EncodedPoint = std::vector<EncodedValue>;

/// The values of all knobs at a point, defaults filled in, checked.
/// Throws KnobError: an unknown knob, or a value out of range.
EncodedPoint encoded_point(const std::vector<Knob>& knobs, const OperatingPoint& point);

/// The same as plain numbers.
OperatingPoint plain_point(const std::vector<Knob>& knobs, const EncodedPoint& point);

/// The values of all knobs at a point as plain numbers, defaults filled in.
/// Throws KnobError: an unknown knob, or a value out of range.
OperatingPoint full_point(const std::vector<Knob>& knobs, const OperatingPoint& point);

/// The full points, or those by default where none are given; at least one.
/// Throws KnobError as `full_point` does.
std::vector<OperatingPoint> full_points(const std::vector<Knob>& knobs,
                                        const std::vector<OperatingPoint>& points,
                                        const std::vector<OperatingPoint>& default_points);

}  // namespace dyncompile::detail

#endif

// From a value that a caller gives to what the graph is fed, checked.
#ifndef DYNCOMPILE_SRC_KNOB_VALUES_HPP
#define DYNCOMPILE_SRC_KNOB_VALUES_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dyncompile/knobs.hpp"
#include "dyncompile/outputs.hpp"

namespace dyncompile::detail {

/// A number as the graph sees it: a float; beyond what one holds, an infinity.
float as_float(double number) noexcept;

/// The input of the graph that the knob is.
Port port_of(const Knob& knob);

/// Elements of that input.
std::size_t count_of(const Knob& knob) noexcept;

/// The level. Throws KnobError if it is not one.
std::int64_t level_of(const Knob& knob, const KnobValue& value);

/// Writes `count_of(knob)` thresholds; one number stands for all of them.
/// Throws KnobError: NaN, of another length, or out of range.
void write_thresholds(const Knob& knob, const KnobValue& value, float* thresholds);

/// Throws KnobError if the knob cannot have this value.
void check_knob(const Knob& knob, const KnobValue& value);

/// The value that the knob has if a caller names none.
OwnedValue default_of(const Knob& knob);

/// The names, or "none".
std::string names_of(const std::vector<Knob>& knobs);

}  // namespace dyncompile::detail

#endif

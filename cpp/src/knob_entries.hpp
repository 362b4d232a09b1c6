// Knobs, and values of them, as they stand in a manifest.
#ifndef DYNCOMPILE_SRC_KNOB_ENTRIES_HPP
#define DYNCOMPILE_SRC_KNOB_ENTRIES_HPP

#include <string>

#include "dyncompile/knobs.hpp"
#include "json.hpp"

namespace dyncompile::detail {

/// Throws BadJson.
Knob knob_from_entry(const std::string& name, const Json& entry);
Json entry_from_knob(const Knob& knob);

/// The value that a knob has at an operating point: a level is an integer, thresholds are numbers.
/// Throws BadJson if the knob cannot have it.
OwnedValue value_from_entry(const Knob& knob, const Json& entry);

Json entry_from_point(const OperatingPoint& point);

}  // namespace dyncompile::detail

#endif

// How good operating points are where nobody has said it: by time, and by the work of levels.
#ifndef DYNCOMPILE_SRC_GRADING_HPP
#define DYNCOMPILE_SRC_GRADING_HPP

#include <vector>

#include "dyncompile/calibration.hpp"
#include "dyncompile/manifest.hpp"

namespace dyncompile::detail {

/// How good each point is: its mean time, and more than where a level computes less.
///
/// A level that computes more may take less time, as one that cuts no weights does beside one that
/// cuts a few. It is the better one nonetheless, whatever was measured.
/// `latencies` have values of all knobs; of the decisions on a level, what each option computes is
/// known. Throws KnobError if a value is out of range.
std::vector<double> grades_by_time(const std::vector<Latency>& latencies,
                                   const std::vector<Knob>& knobs,
                                   const std::vector<Decision>& decisions);

}  // namespace dyncompile::detail

#endif

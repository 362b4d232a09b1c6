// Measures the latency of a loaded network at its operating points.
#ifndef DYNCOMPILE_SRC_CALIBRATING_HPP
#define DYNCOMPILE_SRC_CALIBRATING_HPP

#include <cstddef>
#include <functional>
#include <vector>

#include "call.hpp"
#include "dyncompile/net.hpp"

namespace dyncompile::detail {

constexpr std::size_t warm_up_calls = 3;
constexpr std::size_t least_calls = 5;

/// The network, for `calibrate`.
struct Measured {
  /// Its data inputs.
  const std::vector<Port>& inputs;
  const std::vector<Knob>& knobs;
  /// Where it is measured unless told otherwise; the defaults if there are none.
  const std::vector<OperatingPoint>& points;
};

/// As `Net::calibrate`; `conditions` are those of the network.
Calibration calibrate(const Call& call, const Measured& network, Conditions conditions,
                      const std::vector<Sample>& samples, const std::vector<OperatingPoint>& points,
                      double seconds);

/// Times calls at operating points in turns, so that drift of the machine hits all alike.
///
/// The samples come in drawn order, each at all points; the point that is first rotates. What is
/// timed follows an untimed call at the same point with the sample before: it finds the caches as
/// a stream of calls leaves them. `points` are values of the knobs; there is at least one, and one
/// sample. `seconds` are for all together; at least five calls a point are timed.
/// Returns for each point the milliseconds of its calls; the n-th call of every point has the same
/// sample.
std::vector<std::vector<double>> time_points(const std::function<void(Inputs, Settings)>& call,
                                             const std::vector<std::vector<Setting>>& points,
                                             const std::vector<Sample>& samples, double seconds,
                                             const Clock& clock);

}  // namespace dyncompile::detail

#endif

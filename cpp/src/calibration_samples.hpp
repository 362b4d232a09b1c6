// Inputs to calibrate with: the user's samples, or noise.
#ifndef DYNCOMPILE_SRC_CALIBRATION_SAMPLES_HPP
#define DYNCOMPILE_SRC_CALIBRATION_SAMPLES_HPP

#include <cstddef>
#include <memory>
#include <vector>

#include "dyncompile/net.hpp"

namespace dyncompile::detail {

/// Samples, and the memory that they are views of.
struct DrawnSamples {
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::vector<Sample> samples;
};

/// Seeded samples: normal noise for floats, zeros for others; free sizes are 1.
/// Throws InputError if a size is none.
DrawnSamples draw_samples(const std::vector<Port>& inputs);

/// Throws InputError if names, types or shapes of a sample are not those of the inputs.
void check_samples(const std::vector<Port>& inputs, const std::vector<Sample>& samples);

}  // namespace dyncompile::detail

#endif

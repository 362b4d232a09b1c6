// What calls of one artifact take on one machine, by operating point.
#ifndef DYNCOMPILE_CALIBRATION_HPP
#define DYNCOMPILE_CALIBRATION_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dyncompile/knobs.hpp"

namespace dyncompile {

/// What a call takes at one operating point.
struct Latency {
  /// Values of all knobs.
  OperatingPoint point;
  /// Half of the calls were faster; their mean; 95 % were faster.
  double median_ms = 0, mean_ms = 0, p95_ms = 0;
  /// How many were timed, on how many different inputs.
  std::int64_t calls = 0, samples = 0;
  /// Whether these were drawn noise; with it, the network may decide otherwise than with data.
  bool drawn = false;

  /// Summarises the milliseconds of single calls, at least one; percentiles are interpolated
  /// linearly between them. Throws InputError if there is none.
  static Latency of(OperatingPoint point, const std::vector<double>& ms, std::int64_t samples,
                    bool drawn);
};

/// What latencies depend on, apart from the artifact.
struct Conditions {
  std::string processor;
  std::int64_t cores = 1;
  /// What runs it, and its version.
  std::string runtime;
  /// Threads one operator may use; none lets the runtime decide.
  std::optional<std::int64_t> threads;
  /// Execution providers in use, most wanted first, with their options; of an engine, the GPU.
  std::vector<std::string> providers;

  friend bool operator==(const Conditions& one, const Conditions& other);
};

/// Latencies of an artifact on one machine.
struct Calibration {
  Conditions conditions;
  /// The value of each knob where a point does not name it.
  OperatingPoint defaults;
  /// One per operating point.
  std::vector<Latency> latencies;
  /// Day of the newest of them, ISO.
  std::string date;
  /// SHA-256 of the file of the artifact, in hexadecimal; empty if it is not known, as of what
  /// Python keeps.
  std::string artifact;

  /// The latency at an operating point, knobs that it does not name at their defaults; none if it
  /// has not been measured. It stays good until the calibration is changed.
  const Latency* at(const OperatingPoint& point) const;

  /// Both; where both know a point, the newer, but data before noise.
  Calibration merged(const Calibration& newer) const;

  /// Compact JSON, to be kept by the app; what Python keeps has the same form.
  std::string to_json() const;

  /// Reads what `to_json` wrote. Throws ArtifactError for anything else; `where` is the file it
  /// comes from, for messages.
  static Calibration from_json(std::string_view text, const std::string& where);
};

}  // namespace dyncompile

#endif

// A loaded artifact: run it, turn its knobs, ask which way it went.
#ifndef DYNCOMPILE_NET_HPP
#define DYNCOMPILE_NET_HPP

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dyncompile/calibration.hpp"
#include "dyncompile/governor.hpp"
#include "dyncompile/lists.hpp"
#include "dyncompile/manifest.hpp"
#include "dyncompile/outputs.hpp"

namespace dyncompile {

namespace detail {
struct Call;
}

/// An execution provider of ONNX Runtime, such as "CUDAExecutionProvider", and its options.
struct Provider {
  std::string name;
  std::map<std::string, std::string> options = {};
};

/// How an artifact is loaded; nothing of it may be set for an engine.
struct LoadOptions {
  /// Most wanted first; the CPU if there are none.
  std::vector<Provider> providers = {};
  /// Threads one operator may use; ONNX Runtime decides if not set.
  std::optional<int> threads = std::nullopt;
  /// Go on without a provider that is not there; `Net::warnings` says so.
  bool fallback = false;
};

/// Inputs by name, of one call; as many as the network has. What they name and view has to live as
/// long.
using Sample = std::vector<Input>;

/// What a governor chooses from, and how.
struct GovernOptions {
  /// Of the calls at one point that have to be in time: 50 or 95.
  int percentile = 95;
  /// What to choose from, knobs left out at their defaults; empty for `operating_points`.
  std::vector<OperatingPoint> points = {};
  /// For each of them how good it is, such as its accuracy; empty for what takes longer on average
  /// being better, and so a level that computes more.
  std::vector<double> quality = {};
  /// Nanoseconds of a clock that never goes back; the steady clock if not set.
  std::function<std::int64_t()> clock = {};
};

/// A dynamic network, ready to run; safe to call from several threads. One that was moved from may
/// be assigned to or destroyed, nothing else.
class Net {
 public:
  /// Loads an artifact for ONNX Runtime, or, if its name ends in ".engine", an engine for the GPU
  /// that the calling thread uses; the file that describes it lies beside it.
  ///
  /// Throws ArtifactError if the file is missing, damaged, foreign, or written by a newer version;
  /// TargetError if ONNX Runtime is older than the headers this was compiled with, a provider is
  /// not there, there is no GPU, or not the one or the version an engine was built for; InputError
  /// if an option does not fit.
  static Net load(const std::filesystem::path& path, const LoadOptions& options = {});

  Net(Net&&) noexcept;
  Net& operator=(Net&&) noexcept;
  ~Net();

  /// Runs the network; knobs left out have their default.
  ///
  /// Throws InputError if an input is missing, does not fit, or is refused by what runs it;
  /// KnobError if a knob is unknown or out of range; TargetError if a GPU fails.
  Outputs run(Inputs&& inputs, Settings&& knobs = {}) const;

  /// The same, into memory of the caller, which overlaps neither inputs nor other outputs; those
  /// that are not named are dropped. Up to 16 inputs, outputs and thresholds, nothing is allocated
  /// but by what runs it.
  void run(Inputs&& inputs, Settings&& knobs, Buffers&& outputs) const;

  /// Runs the network and reports the path it took. The artifact must have been exported with
  /// telemetry; throws TargetError if it was not.
  std::pair<Outputs, Path> trace(Inputs&& inputs, Settings&& knobs = {}) const;

  /// Measures what a call takes here, at several operating points, in turns.
  ///
  /// `samples` are inputs to measure with; without, noise is drawn (normal for floats, zeros for
  /// others, free sizes 1), with which the network may decide otherwise than with data. Without
  /// `points`, it is `operating_points`, or the defaults if there are none. `seconds` are for all
  /// points together; a point gets five calls at least.
  /// Throws InputError and KnobError as a call does.
  Calibration calibrate(const std::vector<Sample>& samples = {},
                        const std::vector<OperatingPoint>& points = {}, double seconds = 2.0) const;

  /// This network as one that keeps within a budget of time, to be called instead.
  ///
  /// Where nothing fits, the fastest point runs: `picked().fits()` tells at once.
  /// Throws InputError if the budget is not positive, there is nothing to choose from, a point has
  /// not been measured, or the calibration is of another artifact or of other conditions than
  /// `conditions()`; KnobError if a point has a value out of range.
  Governor within(double milliseconds, const Calibration& calibration,
                  const GovernOptions& options = {}) const;

  /// What latencies depend on, here.
  Conditions conditions() const;

  const std::filesystem::path& path() const noexcept;
  const Manifest& manifest() const noexcept;
  /// What scales the network at run time, in the order of the graph.
  const std::vector<Knob>& knobs() const noexcept;
  const std::vector<Decision>& decisions() const noexcept;
  const std::vector<OperatingPoint>& operating_points() const noexcept;
  /// The data inputs, in order.
  const std::vector<Port>& inputs() const noexcept;
  /// The outputs, in order, without those that report decisions.
  const std::vector<Port>& outputs() const noexcept;
  /// The execution providers in use; of an engine, the GPU.
  const std::vector<std::string>& providers() const noexcept;
  /// What was not as asked for when it was loaded, a line each.
  const std::vector<std::string>& warnings() const noexcept;

 private:
  struct Impl;
  explicit Net(std::shared_ptr<const Impl> impl) noexcept;

  detail::Call call() const;

  std::shared_ptr<const Impl> impl_;  // shared with the governors it made
};

}  // namespace dyncompile

#endif

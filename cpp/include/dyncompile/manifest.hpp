// The manifest: what an artifact says about itself.
#ifndef DYNCOMPILE_MANIFEST_HPP
#define DYNCOMPILE_MANIFEST_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dyncompile/knobs.hpp"

namespace dyncompile {

/// What one option of a decision costs when it is taken.
struct Side {
  /// Multiply-accumulates of its convolutions, matrix products and recurrent layers.
  std::int64_t macs = 0;
  /// Size of the weights it reads.
  std::int64_t weight_bytes = 0;
};

/// One decision that the artifact takes at run time.
struct Decision {
  enum class Kind : std::uint8_t { gate, switch_ };

  /// Stable from the model to the artifact.
  std::string name;
  /// A gate has the options 0 (off) and 1 (on), a switch one per side.
  Kind kind = Kind::gate;
  /// The tensors that hold the decision.
  std::vector<std::string> values;
  /// Enclosing decisions and the option under which this one is reached at all.
  std::vector<std::pair<std::string, std::int64_t>> under;
  /// Cost of each option.
  std::vector<Side> sides;
  /// Other names of the same decision, and their option for each option here.
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> aliases;
};

/// The channel budgets on one level, and what became of them.
struct Budgets {
  struct Barrier {
    std::string at, why;
  };

  std::string decision;
  std::int64_t levels = 0;
  /// "switch", "slice" or "chain"; empty in a marked file.
  std::string lowering;
  std::string why;
  std::vector<Barrier> barriers;
};

/// The file beside the artifact that holds its weights.
struct ExternalData {
  std::string file;
  std::int64_t bytes = 0;
  std::string sha256;
};

/// What an artifact says about itself; docs/manifest.md describes it.
struct Manifest {
  /// Formats up to this one are read.
  static constexpr std::int64_t format = 1;

  /// "onnx", "tensorrt", or "marked" for a dense file that is yet to be compiled.
  std::string target;
  /// Element type of the arithmetic.
  std::string precision;
  /// What scales the network at run time.
  std::vector<Knob> knobs;
  /// What the network decides at run time.
  std::vector<Decision> decisions;
  /// Values of the knobs at which the artifact was verified.
  std::vector<OperatingPoint> operating_points;
  std::optional<ExternalData> external_data;
  std::vector<Budgets> budgets;
  /// Decision -> the output that reports the option taken; empty if it was exported without.
  std::map<std::string, std::string, std::less<>> telemetry;

  /// Reads the JSON of a manifest; fields that this version does not know are ignored.
  /// Throws ArtifactError for something else, something damaged, or a newer format.
  /// `where` is the file it comes from, for messages.
  static Manifest from_json(std::string_view text, const std::string& where);

  /// The same, written; what one reads and writes, the other reads as equal.
  std::string to_json() const;
};

}  // namespace dyncompile

#endif

// What a deserialised engine says about each of its inputs and outputs.
#ifndef DYNCOMPILE_SRC_TENSORRT_ENGINE_PORTS_HPP
#define DYNCOMPILE_SRC_TENSORRT_ENGINE_PORTS_HPP

#include <NvInferRuntime.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dyncompile/outputs.hpp"
#include "dyncompile/tensor.hpp"
#include "engine_file.hpp"

namespace dyncompile::detail {

/// Smallest and largest sizes or values that an engine was built for.
struct Ends {
  std::vector<std::int64_t> least, most;
};

/// One input or output of an engine.
struct EnginePort {
  Port port;
  bool on_host = false;        ///< The engine reads or writes it in memory of the host.
  std::optional<Ends> sizes;   ///< Of an input with free sizes.
  std::optional<Ends> values;  ///< Of a shape tensor.

  /// Whether a size is known at run time only.
  bool is_dynamic() const noexcept;

  /// Throws InputError for sizes that the engine was not built for.
  void check_sizes(const TensorView& view) const;

  /// The same for the values of a shape tensor, which lie at `data`.
  void check_values(const void* data, std::size_t count) const;
};

struct EnginePorts {
  std::vector<EnginePort> inputs, outputs;
};

/// Asks the engine, in the order of the description. Throws ArtifactError if it has other inputs or
/// outputs, TargetError if one has a type that there is none for here.
EnginePorts ports_of(const nvinfer1::ICudaEngine& engine, const EngineDescription& description,
                     const std::string& where);

/// Sizes as TensorRT has them; -1 where one is not known.
std::vector<std::int64_t> sizes_of(const nvinfer1::Dims& dims);

}  // namespace dyncompile::detail

#endif

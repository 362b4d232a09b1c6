#include "engine_ports.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "dyncompile/errors.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

using nvinfer1::DataType;
using nvinfer1::ICudaEngine;
using nvinfer1::OptProfileSelector;

constexpr std::int32_t profile = 0;  // there is one

std::optional<ElementType> element_type_of(DataType type) {
  switch (type) {
    case DataType::kFLOAT:
      return ElementType::float32;
    case DataType::kHALF:
      return ElementType::float16;
    case DataType::kINT8:
      return ElementType::int8;
    case DataType::kINT32:
      return ElementType::int32;
    case DataType::kBOOL:
      return ElementType::boolean;
    case DataType::kUINT8:
      return ElementType::uint8;
    case DataType::kBF16:
      return ElementType::bfloat16;
    case DataType::kINT64:
      return ElementType::int64;
    default:
      return std::nullopt;
  }
}

bool is_between(const std::int64_t* elements, std::size_t count, const Ends& ends) {
  for (std::size_t index = 0; index < count && index < ends.least.size(); ++index) {
    if (elements[index] < ends.least[index] || elements[index] > ends.most[index]) return false;
  }
  return true;
}

// TensorRT has values of 64 bits since 10.11, and by now no others.
template <class Engine>
auto profile_values(const Engine& engine, const char* name, OptProfileSelector which, int)
    -> decltype(engine.getProfileTensorValuesV2(name, profile, which)) {
  return engine.getProfileTensorValuesV2(name, profile, which);
}

template <class Engine>
const std::int32_t* profile_values(const Engine& engine, const char* name, OptProfileSelector which,
                                   long) {
  return engine.getProfileTensorValues(name, profile, which);
}

std::optional<Ends> value_ends(const ICudaEngine& engine, const Port& port) {
  const char* name = port.name.c_str();
  const auto* least = profile_values(engine, name, OptProfileSelector::kMIN, 0);
  const auto* most = profile_values(engine, name, OptProfileSelector::kMAX, 0);
  if (!least || !most) return std::nullopt;
  const std::size_t count = Shape(port.sizes.data(), port.sizes.size()).elements();
  return Ends{{least, least + count}, {most, most + count}};
}

std::optional<Ends> size_ends(const ICudaEngine& engine, const Port& port) {
  const auto end = [&](OptProfileSelector which) {
    return sizes_of(engine.getProfileShape(port.name.c_str(), profile, which));
  };
  Ends ends{end(OptProfileSelector::kMIN), end(OptProfileSelector::kMAX)};
  const std::size_t rank = port.sizes.size();
  if (ends.least.size() != rank || ends.most.size() != rank) return std::nullopt;
  return ends;
}

EnginePort port_of(const ICudaEngine& engine, const std::string& name, bool is_input,
                   const std::string& where) {
  const DataType kind = engine.getTensorDataType(name.c_str());
  const std::optional<ElementType> type = element_type_of(kind);
  if (!type) {
    throw TargetError(std::string(is_input ? "input " : "output ") + in_quotes(name) +
                          " has the type number " + std::to_string(static_cast<int>(kind)) +
                          " of TensorRT, for which there is none here.",
                      where, "Cast it to float32 in the network, and build the engine again.");
  }
  EnginePort found;
  found.port = {name, *type, sizes_of(engine.getTensorShape(name.c_str())), {}};
  found.port.symbols.resize(found.port.sizes.size());
  found.on_host = engine.getTensorLocation(name.c_str()) == nvinfer1::TensorLocation::kHOST;
  if (is_input && found.is_dynamic()) {
    found.sizes = size_ends(engine, found.port);
  } else if (is_input && engine.isShapeInferenceIO(name.c_str())) {
    found.values = value_ends(engine, found.port);
  }
  return found;
}

void check_names(const char* role, const std::vector<Binding>& bindings,
                 const std::vector<std::string>& names, const std::string& where) {
  std::set<std::string> described;
  for (const Binding& binding : bindings) described.insert(binding.name);
  if (described == std::set<std::string>(names.begin(), names.end())) return;
  const auto same = [](const std::string& name) { return name; };
  const auto name_of = [](const Binding& binding) { return binding.name; };
  throw ArtifactError(std::string("it has the ") + role + "s " + joined(names, same, "none") +
                          "; its description, " + joined(bindings, name_of, "none") + ".",
                      where, "Build the engine again.");
}

}  // namespace

bool EnginePort::is_dynamic() const noexcept {
  return std::any_of(port.sizes.begin(), port.sizes.end(), [](std::int64_t n) { return n < 0; });
}

void EnginePort::check_sizes(const TensorView& view) const {
  if (!sizes || is_between(view.shape().begin(), view.shape().rank(), *sizes)) return;
  throw InputError(view.to_string() + " does not fit.", "input " + in_quotes(port.name),
                   "The engine was built for sizes from " + listed(sizes->least) + " to " +
                       listed(sizes->most) + ".");
}

void EnginePort::check_values(const void* data, std::size_t count) const {
  if (!values) return;
  std::vector<std::int64_t> given;
  for (std::size_t index = 0; index < count; ++index) {
    if (port.type == ElementType::int64) {
      given.push_back(static_cast<const std::int64_t*>(data)[index]);
    } else if (port.type == ElementType::int32) {
      given.push_back(static_cast<const std::int32_t*>(data)[index]);
    }
  }
  if (is_between(given.data(), given.size(), *values)) return;
  throw InputError(
      (port.sizes.empty() ? std::to_string(given[0]) : listed(given)) + " is out of range.",
      "input " + in_quotes(port.name),
      "The engine was built for values from " + listed(values->least) + " to " +
          listed(values->most) + ".");
}

EnginePorts ports_of(const ICudaEngine& engine, const EngineDescription& description,
                     const std::string& where) {
  std::vector<std::string> inputs, outputs;
  for (std::int32_t number = 0; number < engine.getNbIOTensors(); ++number) {
    const char* name = engine.getIOTensorName(number);
    const bool is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    (is_input ? inputs : outputs).emplace_back(name);
  }
  check_names("input", description.inputs, inputs, where);
  check_names("output", description.outputs, outputs, where);
  EnginePorts ports;
  for (const Binding& binding : description.inputs) {
    ports.inputs.push_back(port_of(engine, binding.name, true, where));
  }
  for (const Binding& binding : description.outputs) {
    ports.outputs.push_back(port_of(engine, binding.name, false, where));
  }
  return ports;
}

std::vector<std::int64_t> sizes_of(const nvinfer1::Dims& dims) {
  const std::int32_t rank = std::clamp(dims.nbDims, 0, nvinfer1::Dims::MAX_DIMS);
  return {dims.d, dims.d + rank};
}

}  // namespace dyncompile::detail

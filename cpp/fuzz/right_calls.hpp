// Which calls are right, said once more and as plainly as can be.
#ifndef DYNCOMPILE_FUZZ_RIGHT_CALLS_HPP
#define DYNCOMPILE_FUZZ_RIGHT_CALLS_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dyncompile/dyncompile.hpp"

/// What is known of a call before it is made.
enum class Verdict {
  wrong,  ///< The artifact says so: ONNX Runtime must not see it.
  open,   ///< Sizes that are free are 0, or do not go with each other.
  right,
};

template <class List, class Name>
auto named(const List& list, Name name) {
  return std::find_if(list.begin(), list.end(),
                      [&](const auto& each) { return each.name == name; });
}

/// Whether sizes go with a port.
inline bool fits(const dyncompile::Port& port, const dyncompile::Shape& shape) {
  if (shape.rank() != port.sizes.size()) return false;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (port.sizes[axis] >= 0 && port.sizes[axis] != shape[axis]) return false;
  }
  return true;
}

template <class View>
bool is_on_gpu(const View& view) {
  return view.device().kind == dyncompile::Device::Kind::cuda;
}

/// Whether a view has the type, and memory that the CPU can read where it needs some.
template <class View>
bool is_there(const dyncompile::Port& port, const View& view) {
  const dyncompile::Shape& shape = view.shape();
  const auto is_negative = [](std::int64_t size) { return size < 0; };
  const bool is_empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return view.type() == port.type && std::none_of(shape.begin(), shape.end(), is_negative) &&
         (is_empty || (view.data() && !is_on_gpu(view)));
}

inline bool is_in_range(const dyncompile::Threshold& range, double number) {
  if (std::isnan(number)) return false;
  if (std::isinf(number)) return true;
  if (std::abs(number) > static_cast<double>(std::numeric_limits<float>::max())) return false;
  const auto given = static_cast<float>(number);
  return static_cast<float>(range.low) <= given && given <= static_cast<float>(range.high);
}

inline bool goes_with(const dyncompile::Knob& knob, const dyncompile::KnobValue& value) {
  if (const dyncompile::Levels* levels = knob.levels()) {
    const auto count = static_cast<std::int64_t>(levels->values.size());
    return value.is_level() && 0 <= value.level() && value.level() < count;
  }
  const dyncompile::Threshold& range = *knob.threshold();
  const std::size_t most = range.is_vector ? range.defaults.size() : 1;
  if (value.count() != 1 && value.count() != most) return false;
  for (std::size_t index = 0; index < value.count(); ++index) {
    if (!is_in_range(range, value.number(index))) return false;
  }
  return true;
}

inline bool are_right(const dyncompile::Net& net, const std::vector<dyncompile::Setting>& given) {
  std::vector<std::string_view> seen;
  for (const dyncompile::Setting& setting : given) {
    const auto knob = named(net.knobs(), setting.knob);
    if (knob == net.knobs().end() || !goes_with(*knob, setting.value)) return false;
    if (std::find(seen.begin(), seen.end(), setting.knob) != seen.end()) return false;
    seen.push_back(setting.knob);
  }
  return true;
}

inline Verdict verdict(const dyncompile::Net& net, const std::vector<dyncompile::Input>& inputs,
                       const std::vector<dyncompile::Setting>& settings) {
  if (!are_right(net, settings) || inputs.size() != net.inputs().size()) return Verdict::wrong;
  std::map<std::string, std::int64_t> sizes;
  Verdict found = Verdict::right;
  for (const dyncompile::Port& port : net.inputs()) {
    const auto input = named(inputs, port.name);
    if (input == inputs.end() || !is_there(port, input->view) || !fits(port, input->view.shape())) {
      return Verdict::wrong;
    }
    for (std::size_t axis = 0; axis < port.sizes.size(); ++axis) {
      if (port.sizes[axis] >= 0) continue;
      const std::int64_t size = input->view.shape()[axis];
      const bool is_same = sizes.emplace(port.symbols[axis], size).first->second == size;
      if (!is_same || size < 2) found = Verdict::open;
    }
  }
  return found;
}

/// Whether buffers fit what the artifact says of its outputs; sizes that are free may be others,
/// and those of a scalar, which looks like an output whose number of sizes is free.
inline bool are_right(const dyncompile::Net& net, const std::vector<dyncompile::Buffer>& given) {
  std::vector<std::string_view> seen;
  for (const dyncompile::Buffer& buffer : given) {
    const auto port = named(net.outputs(), buffer.output);
    if (port == net.outputs().end() || !is_there(*port, buffer.view)) return false;
    if (!port->sizes.empty() && !fits(*port, buffer.view.shape())) return false;
    if (std::find(seen.begin(), seen.end(), buffer.output) != seen.end()) return false;
    seen.push_back(buffer.output);
  }
  return !given.empty();
}

#endif

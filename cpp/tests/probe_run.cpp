// Loads artifacts and runs them on tensors that come and go as hexadecimal digits.
#include <limits>
#include <map>
#include <memory>

#include "dyncompile/dyncompile.hpp"
#include "probe.hpp"

namespace {

using dyncompile::ElementType;
using nlohmann::json;

ElementType type_named(const std::string& name) {
  for (int number = 0; number <= static_cast<int>(ElementType::uint64); ++number) {
    const auto type = static_cast<ElementType>(number);
    if (dyncompile::name_of(type) == name) return type;
  }
  throw std::invalid_argument("no element type " + name);
}

std::string hex_from(const void* memory, std::size_t count) {
  constexpr const char* digits = "0123456789abcdef";
  const auto* bytes = static_cast<const unsigned char*>(memory);
  std::string text;
  for (std::size_t at = 0; at < count; ++at) {
    text += digits[bytes[at] / 16];
    text += digits[bytes[at] % 16];
  }
  return text;
}

dyncompile::Shape shape_from(const json& sizes) {
  const auto numbers = sizes.get<std::vector<std::int64_t>>();
  return {numbers.data(), numbers.size()};
}

dyncompile::Device device_from(const json& tensor) {
  if (!tensor.contains("gpu")) return {};
  return dyncompile::Device::cuda(tensor.at("gpu").get<int>());
}

double number_from(const json& value) {
  if (!value.is_string()) return value.get<double>();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto text = value.get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  return text == "-inf" ? -infinity : infinity;
}

/// The call of a request: its tensors and values, and views of them.
struct Call {
  explicit Call(const json& request) {
    const json& inputs = request.at("inputs");
    const json knobs = request.value("knobs", json::object());
    memory.reserve(inputs.size());
    lists.reserve(knobs.size());
    for (const auto& [name, tensor] : inputs.items()) {
      memory.push_back(bytes_from_hex(tensor.at("hex")));
      names.push_back(std::make_unique<std::string>(name));
      views.push_back({*names.back(),
                       {memory.back().data(), type_named(tensor.at("type")),
                        shape_from(tensor.at("shape")), device_from(tensor)}});
    }
    for (const auto& [name, value] : knobs.items()) {
      names.push_back(std::make_unique<std::string>(name));
      settings.push_back({*names.back(), value_from(value)});
    }
  }

  dyncompile::KnobValue value_from(const json& value) {
    if (value.is_number_unsigned()) return value.get<std::uint64_t>();
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (value.is_array()) {
      lists.emplace_back();
      for (const json& number : value) lists.back().push_back(number_from(number));
      return lists.back();
    }
    if (value.is_object()) return static_cast<float>(number_from(value.at("single")));
    return number_from(value);
  }

  std::vector<std::unique_ptr<std::string>> names;
  std::vector<std::string> memory;
  std::vector<std::vector<double>> lists;
  std::vector<dyncompile::Input> views;
  std::vector<dyncompile::Setting> settings;
};

json json_from(const void* memory, ElementType type, const dyncompile::Shape& shape) {
  return {{"type", dyncompile::name_of(type)},
          {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
          {"hex", hex_from(memory, shape.elements() * dyncompile::size_of(type))}};
}

json json_from(const dyncompile::Net& net, const dyncompile::Outputs& outputs) {
  json found = json::object();
  for (std::size_t number = 0; number < outputs.size(); ++number) {
    const dyncompile::Tensor& tensor = outputs[number];
    found[net.outputs()[number].name] = json_from(tensor.raw(), tensor.type(), tensor.shape());
  }
  return found;
}

/// Runs into buffers of the caller: "buffers" has their types and shapes by name of output.
json run_into(const dyncompile::Net& net, const Call& call, const json& buffers) {
  std::vector<std::vector<char>> memory;
  std::vector<dyncompile::Buffer> views;
  std::vector<std::string> names;
  names.reserve(buffers.size());
  for (const auto& [name, buffer] : buffers.items()) {
    const auto type = type_named(buffer.at("type"));
    const auto shape = shape_from(buffer.at("shape"));
    memory.emplace_back(shape.elements() * dyncompile::size_of(type), '\x5a');
    names.push_back(name);
    views.push_back({names.back(), {memory.back().data(), type, shape}});
  }
  net.run(call.views, call.settings, views);
  json found = json::object();
  for (const auto& view : views) {
    found[std::string(view.output)] =
        json_from(view.view.data(), view.view.type(), view.view.shape());
  }
  return found;
}

/// A call within a budget of time: "ms", by what "calibration" says.
json govern(const dyncompile::Net& net, const Call& call, const json& budget) {
  const auto known = dyncompile::Calibration::from_json(budget.at("calibration").get<std::string>(),
                                                        "calibration");
  const auto governor = net.within(budget.at("ms").get<double>(), known);
  dyncompile::Pick pick;
  const json outputs = json_from(net, governor.run(call.views, call.settings, &pick));
  json levels = json::object();
  for (const auto& [name, value] : pick.point) {
    if (const auto* level = std::get_if<std::int64_t>(&value)) levels[name] = *level;
  }
  return {{"outputs", outputs},
          {"levels", levels},
          {"fits", pick.fits()},
          {"points", governor.points().size()}};
}

json texts_of(const std::vector<dyncompile::Port>& ports) {
  json found = json::array();
  for (const auto& port : ports) found.push_back({port.name, port.to_string()});
  return found;
}

json description_of(const dyncompile::Net& net) {
  json knobs = json::array();
  for (const auto& knob : net.knobs()) knobs.push_back(knob.name);
  const auto conditions = net.conditions();
  return {{"inputs", texts_of(net.inputs())},
          {"outputs", texts_of(net.outputs())},
          {"knobs", knobs},
          {"providers", net.providers()},
          {"warnings", net.warnings()},
          {"manifest", net.manifest().to_json()},
          {"points", net.operating_points().size()},
          {"runtime", conditions.runtime},
          {"conditions", conditions.providers}};
}

dyncompile::LoadOptions options_from(const json& request) {
  dyncompile::LoadOptions options;
  if (request.contains("threads")) options.threads = request.at("threads").get<int>();
  options.fallback = request.value("fallback", false);
  const json providers = request.value("providers", json::object());
  for (const auto& [name, values] : providers.items()) {
    options.providers.push_back({name, values.get<std::map<std::string, std::string>>()});
  }
  return options;
}

}  // namespace

json probe_run(const json& request) {
  static std::map<std::string, dyncompile::Net> nets;
  const auto path = request.at("path").get<std::string>();
  const std::string key = path + request.value("options", json::object()).dump();
  auto net = nets.find(key);
  if (net == nets.end()) {
    const auto options = options_from(request.value("options", json::object()));
    net = nets.emplace(key, dyncompile::Net::load(std::filesystem::u8path(path), options)).first;
  }
  if (request.contains("calibrate")) {
    return net->second.calibrate({}, {}, request.at("calibrate").get<double>()).to_json();
  }
  if (!request.contains("inputs")) return description_of(net->second);
  const Call call(request);
  if (request.contains("within")) return govern(net->second, call, request.at("within"));
  if (request.contains("buffers")) return run_into(net->second, call, request.at("buffers"));
  if (!request.value("trace", false)) {
    return json_from(net->second, net->second.run(call.views, call.settings));
  }
  const auto [outputs, taken] = net->second.trace(call.views, call.settings);
  return {{"outputs", json_from(net->second, outputs)}, {"taken", taken}};
}

#include "engines.hpp"

#include <fstream>
#include <numeric>
#include <utility>

#include "sha256.hpp"

namespace {

using dyncompile::detail::Binding;
using dyncompile::detail::EngineDescription;
using nvinfer1::DataType;

const char* dtype_of(DataType type) {
  switch (type) {
    case DataType::kHALF:
      return "float16";
    case DataType::kINT8:
      return "int8";
    case DataType::kINT32:
      return "int32";
    case DataType::kBOOL:
      return "bool";
    case DataType::kUINT8:
      return "uint8";
    case DataType::kBF16:
      return "bfloat16";
    case DataType::kINT64:
      return "int64";
    default:
      return "float32";
  }
}

std::vector<Binding> bindings_of(const std::vector<fake::Tensor>& tensors) {
  std::vector<Binding> bindings;
  for (const fake::Tensor& one : tensors) {
    bindings.push_back({one.name, dtype_of(one.type), one.shape, one.on_host});
  }
  return bindings;
}

dyncompile::Manifest manifest_of_scaling() {
  dyncompile::Manifest manifest;
  manifest.target = "tensorrt";
  manifest.precision = "float32";
  manifest.knobs = {{"level", dyncompile::Levels{{0.25, 0.5, 1.0}, 2}},
                    {"threshold", dyncompile::Threshold{{0.5, 0.75}, true, 0.0, 1.0}}};
  manifest.operating_points = {{{"level", std::int64_t{0}}}, {{"level", std::int64_t{2}}}};
  return manifest;
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

Scene::Scene() {
  fake::reset();
  static int scenes = 0;
  folder_ = std::filesystem::temp_directory_path() /
            ("dyncompile-engines-" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + "-" +
             std::to_string(++scenes));
  std::filesystem::create_directories(folder_);
}

Scene::~Scene() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  fake::expect(fake::machine().allocated == 0, "memory is not given back");
  fake::expect(fake::machine().streams == 0, "a stream is not given back");
}

EngineDescription Scene::described(const fake::Network& network) const {
  EngineDescription description;
#ifdef FAKE_TENSORRT_RTX
  description.flavor = "tensorrt-rtx";
#else
  description.flavor = "tensorrt";
#endif
  description.version =
      std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR) + ".1.116";
  description.chips = {"sm89"};
  description.precision = "float32";
  description.inputs = bindings_of(network.inputs);
  description.outputs = bindings_of(network.outputs);
  description.manifest = manifest_of_scaling();
  return description;
}

std::filesystem::path Scene::write_files(const fake::Network& network,
                                         EngineDescription description) {
  const std::string plan = "plan " + std::to_string(++written_);
  network_ = std::make_shared<fake::Network>(network);
  fake::machine().networks[plan] = network_;
  description.bytes = static_cast<std::int64_t>(plan.size());
  description.sha256 = dyncompile::detail::sha256_of(plan.data(), plan.size());
  const std::filesystem::path path = folder_ / ("net" + std::to_string(written_) + ".engine");
  write_file(path, plan);
  write_file(path.u8string() + ".json", description.to_json());
  return path;
}

fake::Network scaling(bool level_on_host) {
  fake::Tensor level{"level", DataType::kINT64, {}, level_on_host};
  if (level_on_host) level.least = {0}, level.most = {1};
  const fake::Tensor x{"x", DataType::kFLOAT, {2, 4}},
      threshold{"threshold", DataType::kFLOAT, {2}};
  const auto compute = [](const fake::Values& values) {
    const std::vector<float> given = elements<float>(values.at("threshold"));
    const auto at = elements<std::int64_t>(values.at("level")).front();
    const std::vector<float> data = elements<float>(values.at("x"));
    const std::vector<float> y = scaled(data, static_cast<int>(at), given[0] + given[1]);
    const auto count = static_cast<std::int64_t>(y.size());
    return fake::Values{{"y", value_of<float>(values.at("x").shape, y)},
                        {"count", value_of<std::int64_t>({}, {count})}};
  };
  return {{x, level, threshold},
          {{"y", DataType::kFLOAT, {2, 4}}, {"count", DataType::kINT64, {}}},
          compute};
}

fake::Network dynamic(std::int64_t least, std::int64_t most) {
  fake::Network network = scaling();
  network.inputs[0].shape = network.outputs[0].shape = {-1, 4};
  network.inputs[0].least = {least, 4};
  network.inputs[0].most = {most, 4};
  network.shapes = [](const auto& shapes, const auto&) {
    return std::map<std::string, fake::Sizes>{{"y", shapes.at("x")}, {"count", {}}};
  };
  return network;
}

fake::Network finding() {
  fake::Network network;
  network.inputs = {{"x", DataType::kFLOAT, {4}}};
  network.outputs = {{"twice", DataType::kFLOAT, {4}}, {"found", DataType::kINT64, {1, -1}}};
  network.shapes = [](const auto&, const auto&) {
    return std::map<std::string, fake::Sizes>{{"twice", {4}}, {"found", {1, -1}}};
  };
  network.compute = [](const fake::Values& values) {
    std::vector<float> x = elements<float>(values.at("x"));
    std::vector<std::int64_t> found;
    for (std::size_t index = 0; index < x.size(); ++index) {
      if (x[index] != 0) found.push_back(static_cast<std::int64_t>(index));
      x[index] *= 2;
    }
    const auto count = static_cast<std::int64_t>(found.size());
    return fake::Values{{"twice", value_of<float>({4}, x)}, {"found", value_of({1, count}, found)}};
  };
  return network;
}

std::vector<float> scaled(const std::vector<float>& x, int level, float thresholds) {
  std::vector<float> y;
  for (const float one : x) y.push_back(one * static_cast<float>(level + 1) + thresholds);
  return y;
}

std::string library_name() {
#ifdef FAKE_TENSORRT_RTX
  const std::string name = "TensorRT for RTX ";
#else
  const std::string name = "TensorRT ";
#endif
  return name + std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR) + ".1";
}

void without_knobs(EngineDescription& description) {
  description.manifest.knobs.clear();
  description.manifest.operating_points.clear();
}

#include "onnx_providers.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "json.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

/// The C API names providers in its own way.
std::string short_name(const std::string& name) {
  static const std::map<std::string, std::string> spelt_otherwise = {
      {"Azure", "AZURE"},   {"Dml", "DML"},         {"NvTensorRTRTX", "NvTensorRtRtx"},
      {"WebGpu", "WebGPU"}, {"Xnnpack", "XNNPACK"}, {"WebNN", "WEBNN"},
  };
  const std::string cut = name.substr(0, name.rfind("ExecutionProvider"));
  const auto found = spelt_otherwise.find(cut);
  return found == spelt_otherwise.end() ? cut : found->second;
}

template <class Options, class Create, class Update, class Append>
void append_v2(const Provider& provider, Create create, Update update, void (*release)(Options*),
               Append append) {
  Options* raw = nullptr;
  Ort::ThrowOnError(create(&raw));
  const std::unique_ptr<Options, void (*)(Options*)> options(raw, release);
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : provider.options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  Ort::ThrowOnError(update(options.get(), keys.data(), values.data(), keys.size()));
  append(*options);
}

}  // namespace

void append_provider(Ort::SessionOptions& session, const Provider& provider) {
  const OrtApi& api = Ort::GetApi();
  if (provider.name == cpu_provider) return;  // it always is there, last
  if (provider.name == "CUDAExecutionProvider") {
    append_v2<OrtCUDAProviderOptionsV2>(
        provider, api.CreateCUDAProviderOptions, api.UpdateCUDAProviderOptions,
        api.ReleaseCUDAProviderOptions,
        [&](const auto& options) { session.AppendExecutionProvider_CUDA_V2(options); });
  } else if (provider.name == "TensorrtExecutionProvider") {
    append_v2<OrtTensorRTProviderOptionsV2>(
        provider, api.CreateTensorRTProviderOptions, api.UpdateTensorRTProviderOptions,
        api.ReleaseTensorRTProviderOptions,
        [&](const auto& options) { session.AppendExecutionProvider_TensorRT_V2(options); });
  } else {
    session.AppendExecutionProvider(short_name(provider.name),
                                    {provider.options.begin(), provider.options.end()});
  }
}

std::string condition_of(const Provider& provider) {
  if (provider.options.empty()) return provider.name;
  const auto spelt = [](const std::string& text) { return dump_json(text, -1, "providers"); };
  return provider.name + " {" +
         joined(provider.options,
                [&](const auto& option) {
                  return spelt(option.first) + ": " + spelt(option.second);
                }) +
         "}";
}

bool has_cuda(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name == "CUDAExecutionProvider" || name == "TensorrtExecutionProvider" ||
           name == "NvTensorRTRTXExecutionProvider";
  });
}

std::vector<std::string> names_of(const std::vector<Provider>& providers) {
  std::vector<std::string> names;
  for (const Provider& provider : providers) names.push_back(provider.name);
  return names;
}

std::vector<std::string> missing_from(const std::vector<std::string>& others,
                                      const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (std::find(others.begin(), others.end(), name) == others.end()) missing.push_back(name);
  }
  return missing;
}

}  // namespace dyncompile::detail

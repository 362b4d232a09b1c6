// An artifact, opened in ONNX Runtime.
#include <algorithm>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "onnx_api.hpp"
#include "onnx_ports.hpp"
#include "onnx_providers.hpp"
#include "onnx_values.hpp"
#include "runner.hpp"
#include "small_buffer.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

constexpr const char* metadata_key = "dyncompile";

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What it comes down to: an operator tells first where it stands, in the graph and in the source.
std::string reason_of(const Ort::Exception& error) {
  std::string_view said = error.what();
  const auto cut_behind = [&said](std::string_view mark, std::size_t at) {
    if (at != std::string_view::npos) said.remove_prefix(at + mark.size());
    return at != std::string_view::npos;
  };
  constexpr std::string_view status = "Status Message: ", kind = "[ONNXRuntimeError] : ";
  cut_behind(status, said.rfind(status));
  if (cut_behind(kind, said.rfind(kind))) {  // 2 : INVALID_ARGUMENT : why
    for (int part = 0; part < 2; ++part) cut_behind(" : ", said.find(" : "));
  }
  return one_line(said);
}

class OnnxRunner final : public Runner {
 public:
  OnnxRunner(const std::filesystem::path& path, const LoadOptions& options)
      : where_(path.u8string()),
        environment_(onnx_environment()),
        host_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
    runtime_ = "ONNX Runtime " + onnx_version();
    open(path, options);
    read_manifest(path);
    read_ports();
  }

  void run(const TensorView* feeds, const std::size_t* wanted, std::size_t count,
           const MutableTensorView* buffers, std::vector<Tensor>* tensors) const override {
    Values inputs(input_names_.size()), outputs(count);
    SmallBuffer<const char*, usual_count> names(count);
    for (std::size_t number = 0; number < inputs.size(); ++number) {
      check_device("input", inputs_[number], feeds[number].device());
    }
    for (std::size_t number = 0; buffers && number < count; ++number) {
      check_device("output", outputs_[wanted[number]], buffers[number].device());
    }
    try {
      for (std::size_t number = 0; number < inputs.size(); ++number) {
        inputs.wrap(number, feeds[number], const_cast<void*>(feeds[number].data()), host_);
      }
      for (std::size_t number = 0; number < count; ++number) {
        names[number] = output_names_[wanted[number]];
        if (buffers) outputs.wrap(number, buffers[number], buffers[number].data(), host_);
      }
      Ort::ThrowOnError(Ort::GetApi().Run(*session_, nullptr, input_names_.data(), inputs.data(),
                                          inputs.size(), names.data(), count, outputs.data()));
      if (buffers) return;
      for (std::size_t number = 0; number < count; ++number) {
        tensors->push_back(taken(outputs, number));
      }
    } catch (const Ort::Exception& error) {
      if (has_cuda_ && error.GetOrtErrorCode() != ORT_INVALID_ARGUMENT) {
        throw TargetError("ONNX Runtime fails: " + reason_of(error) + ".", where_,
                          "Look at the state of the GPU with nvidia-smi.");
      }
      throw InputError(
          "ONNX Runtime refuses this call: " + reason_of(error) + ".", where_,
          buffers ? "Check the inputs, and the shapes of the buffers." : "Check the inputs.");
    }
  }

 private:
  void open(const std::filesystem::path& path, const LoadOptions& options) {
    const std::vector<std::string> available = Ort::GetAvailableProviders();
    std::vector<Provider> providers = options.providers;
    if (providers.empty()) providers.push_back({cpu_provider, {}});
    const std::vector<std::string> missing = missing_from(available, names_of(providers));
    check_missing(missing, options.fallback, "");
    providers.erase(
        std::remove_if(providers.begin(), providers.end(),
                       [&](const Provider& one) { return contains(missing, one.name); }),
        providers.end());
    try {
      open_with(path, options, providers);
    } catch (const Ort::Exception& error) {
      const std::string reason = one_line(error.what());
      const OrtErrorCode code = error.GetOrtErrorCode();
      const std::vector<std::string> others = missing_from({cpu_provider}, names_of(providers));
      if (others.empty() || code == ORT_INVALID_PROTOBUF || code == ORT_NO_SUCHFILE ||
          code == ORT_INVALID_GRAPH) {
        throw not_loaded(reason);
      }
      check_missing(others, options.fallback, ": " + reason);
      providers.clear();
      open_without(path, options);
    }
    if (!contains(names_of(providers), cpu_provider)) providers.push_back({cpu_provider, {}});
    for (const Provider& provider : providers) {
      providers_.push_back(provider.name);
      conditions_.push_back(condition_of(provider));
    }
    has_cuda_ = has_cuda(providers_);
  }

  void open_with(const std::filesystem::path& path, const LoadOptions& options,
                 const std::vector<Provider>& providers) {
    Ort::SessionOptions session;
    session.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
    if (options.threads) session.SetIntraOpNumThreads(*options.threads);
    for (const Provider& provider : providers) append_provider(session, provider);
    session_ = std::make_unique<Ort::Session>(*environment_, path.c_str(), session);
  }

  /// On the CPU alone, where providers turned out not to work.
  void open_without(const std::filesystem::path& path, const LoadOptions& options) {
    try {
      open_with(path, options, {});
    } catch (const Ort::Exception& error) {
      throw not_loaded(one_line(error.what()));
    }
  }

  ArtifactError not_loaded(const std::string& reason) const {
    const bool is_of_weights = reason.find("xternal") != std::string::npos ||  // as it calls them
                               reason.find("TensorProto ( tensor name") != std::string::npos;
    return {"ONNX Runtime cannot load it: " + reason + ".", where_,
            is_of_weights ? "Keep it and its weights file together, or export the network again."
                          : "Copy or export it again."};
  }

  void check_missing(const std::vector<std::string>& missing, bool fallback,
                     const std::string& reason) {
    if (missing.empty()) return;
    if (!fallback) {
      throw TargetError(listed(missing) + " cannot be used here" + reason + ".", "providers",
                        "ONNX Runtime has " + listed(Ort::GetAvailableProviders()) +
                            "; fallback goes on without.");
    }
    warnings_.push_back(where_ + ": " + listed(missing) + " cannot be used here" + reason +
                        "; going on without.");
  }

  void read_manifest(const std::filesystem::path& path) {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto text =
        session_->GetModelMetadata().LookupCustomMetadataMapAllocated(metadata_key, allocator);
    if (!text) {
      throw ArtifactError("not a dyncompile artifact: it has no manifest.", where_,
                          "Export the network with dyncompile, or use ONNX Runtime directly.");
    }
    manifest_ = Manifest::from_json(text.get(), where_);
    if (!manifest_.external_data) return;
    const ExternalData& expected = *manifest_.external_data;
    const auto partner = path.parent_path() / std::filesystem::u8path(expected.file);
    std::error_code failed;
    const auto size = std::filesystem::file_size(partner, failed);
    if (failed || size != static_cast<std::uintmax_t>(expected.bytes)) {
      throw ArtifactError("its weights file " + in_quotes(expected.file) + " should have " +
                              std::to_string(expected.bytes) + " bytes.",
                          where_, "Keep the two files together, or export the network again.");
    }
  }

  void read_ports() {
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t number = 0; number < session_->GetInputCount(); ++number) {
      inputs_.push_back(port_from_onnx(session_->GetInputNameAllocated(number, allocator).get(),
                                       session_->GetInputTypeInfo(number), "input", where_));
    }
    for (std::size_t number = 0; number < session_->GetOverridableInitializerCount(); ++number) {
      const std::string name =
          session_->GetOverridableInitializerNameAllocated(number, allocator).get();
      const auto is_it = [&](const Knob& knob) { return knob.name == name; };
      if (std::any_of(manifest_.knobs.begin(), manifest_.knobs.end(), is_it)) {
        inputs_.push_back(port_from_onnx(name, session_->GetOverridableInitializerTypeInfo(number),
                                         "input", where_));
      }
    }
    for (std::size_t number = 0; number < session_->GetOutputCount(); ++number) {
      outputs_.push_back(port_from_onnx(session_->GetOutputNameAllocated(number, allocator).get(),
                                        session_->GetOutputTypeInfo(number), "output", where_));
    }
    for (const Port& port : inputs_) input_names_.push_back(port.name.c_str());
    for (const Port& port : outputs_) output_names_.push_back(port.name.c_str());
  }

  /// ONNX Runtime itself would take memory of a GPU for memory of the host, or not write to it.
  void check_device(const char* role, const Port& port, Device device) const {
    if (device.kind == Device::Kind::cpu || has_cuda_) return;
    throw InputError("memory of a GPU, and the network runs with " + listed(providers_) + ".",
                     std::string(role) + " " + in_quotes(port.name),
                     "Give memory of the host, or load the network with CUDAExecutionProvider.");
  }

  Tensor taken(Values& values, std::size_t number) const {
    auto owner = std::make_shared<Ort::Value>(values.taken(number));
    const auto info = owner->GetTensorTypeAndShapeInfo();
    const std::vector<std::int64_t> sizes = info.GetShape();
    const ElementType type = type_from_onnx(info.GetElementType(), "an output", where_);
    return {owner->GetTensorRawData(), type, Shape(sizes.data(), sizes.size()), owner};
  }

  std::string where_;
  std::shared_ptr<const Ort::Env> environment_;
  Ort::MemoryInfo host_;
  bool has_cuda_ = false;
  std::unique_ptr<Ort::Session> session_;
  std::vector<const char*> input_names_, output_names_;
};

}  // namespace

std::unique_ptr<Runner> open_artifact(const std::filesystem::path& path,
                                      const LoadOptions& options) {
  try {
    return std::make_unique<OnnxRunner>(path, options);
  } catch (const Ort::Exception& error) {
    throw TargetError("ONNX Runtime fails: " + one_line(error.what()) + ".", path.u8string(),
                      "Check how it is installed.");
  }
}

}  // namespace dyncompile::detail

// The artifact as a program without dyncompile runs it: the C API of ONNX Runtime, nothing else.
#ifndef DYNCOMPILE_BENCHMARKS_BARE_HPP
#define DYNCOMPILE_BENCHMARKS_BARE_HPP

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

/// A session on an artifact of one float32 input of fixed sizes, one output, and one knob.
class Bare {
 public:
  Bare(const char* path, std::string input, std::vector<std::int64_t> sizes, std::string knob,
       bool is_level, std::string output)
      : input_(std::move(input)),
        knob_(std::move(knob)),
        output_(std::move(output)),
        sizes_(std::move(sizes)),
        is_level_(is_level) {
    OrtSessionOptions* options = nullptr;
    check(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "bare", &env_));
    check(api_->CreateSessionOptions(&options));
    check(api_->SetIntraOpNumThreads(options, 1));
    check(api_->CreateSession(env_, path, options, &session_));
    check(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &host_));
    api_->ReleaseSessionOptions(options);
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;
  ~Bare() {
    api_->ReleaseMemoryInfo(host_);
    api_->ReleaseSession(session_);
    api_->ReleaseEnv(env_);
  }

  /// One call, from the caller's memory to the caller's memory.
  void run(const std::vector<float>& x, std::int64_t level, float threshold,
           std::vector<float>& scores, const std::vector<std::int64_t>& score_sizes) const {
    OrtValue* inputs[] = {value(x.data(), x.size() * sizeof(float), sizes_), nullptr};
    inputs[1] = is_level_ ? value(&level, sizeof level, {}, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64)
                          : value(&threshold, sizeof threshold, {});
    OrtValue* output = value(scores.data(), scores.size() * sizeof(float), score_sizes);
    const char* const input_names[] = {input_.c_str(), knob_.c_str()};
    const char* const output_name = output_.c_str();
    check(api_->Run(session_, nullptr, input_names, inputs, 2, &output_name, 1, &output));
    for (OrtValue* used : {inputs[0], inputs[1], output}) api_->ReleaseValue(used);
  }

 private:
  OrtValue* value(const void* memory, std::size_t bytes, const std::vector<std::int64_t>& sizes,
                  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) const {
    OrtValue* made = nullptr;
    check(api_->CreateTensorWithDataAsOrtValue(host_, const_cast<void*>(memory), bytes,
                                               sizes.data(), sizes.size(), type, &made));
    return made;
  }

  void check(OrtStatus* status) const {
    if (!status) return;
    std::fprintf(stderr, "ONNX Runtime: %s\n", api_->GetErrorMessage(status));
    std::exit(1);
  }

  const OrtApi* api_ = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  std::string input_, knob_, output_;
  std::vector<std::int64_t> sizes_;
  bool is_level_;
  OrtEnv* env_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* host_ = nullptr;
};

#endif

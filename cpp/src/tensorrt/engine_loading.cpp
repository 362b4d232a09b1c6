#include "engine_loading.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "dyncompile/errors.hpp"
#include "text.hpp"

#if !defined(TRT_MAJOR_RTX) && NV_TENSORRT_MAJOR < 10
#error "dyncompile needs TensorRT 10 or later, or TensorRT for RTX."
#endif

namespace dyncompile::detail {

namespace {

#ifdef TRT_MAJOR_RTX
constexpr const char* compiled_flavor = "tensorrt-rtx";
constexpr std::int32_t compiled_major = TRT_MAJOR_RTX, compiled_minor = TRT_MINOR_RTX;
#else
constexpr const char* compiled_flavor = "tensorrt";
constexpr std::int32_t compiled_major = NV_TENSORRT_MAJOR, compiled_minor = NV_TENSORRT_MINOR;
#endif

struct Release {
  std::int32_t major, minor, patch;

  std::string text() const {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  }
};

Release library() {
  const std::int32_t number = getInferLibVersion();
  if (number < 10000) return {number / 1000, number / 100 % 10, number % 100};  // before 10
  return {number / 10000, number / 100 % 100, number % 100};
}

// The first three numbers of a version, which may have a fourth.
std::string release_of(const std::string& version) {
  std::size_t end = 0;
  for (int dots = 0; end < version.size(); ++end) {
    if (version[end] == '.' && ++dots == 3) break;
  }
  return version.substr(0, end);
}

void check_library() {
  const Release here = library();
  if (here.major == compiled_major && here.minor >= compiled_minor) return;
  const std::string needed = std::to_string(compiled_major) + "." + std::to_string(compiled_minor);
  const std::string name = title(compiled_flavor);
  throw TargetError(
      "the library is " + name + " " + here.text() + "; this program was compiled for " + needed +
          ".",
      "load",
      "Install " + name + " " + needed + ", or compile with the headers of " + here.text() + ".");
}

void check_flavor(const std::filesystem::path& path, const EngineDescription& description) {
  if (description.flavor == compiled_flavor) return;
  throw TargetError(std::string("built by ") + title(description.flavor) +
                        "; this program was compiled with " + title(compiled_flavor) + ".",
                    path.u8string(),
                    std::string("Build it with --flavor ") + compiled_flavor +
                        ", or compile with the SDK of " + title(description.flavor) + ".");
}

TargetError not_for_here(const std::filesystem::path& path, const EngineDescription& description,
                         const Gpu& gpu, const std::string& reason) {
  const std::string name = title(description.flavor);
  const std::string chips = joined(
      description.chips, [](const std::string& chip) { return chip; },
      "the chips it builds for by default");
  return TargetError(
      "built by " + name + " " + description.version + " for " + chips + "; here is " + name + " " +
          library_version() + " and " + gpu.name + " (" + gpu.chip + "): " + reason + ".",
      path.u8string(), "Build it for " + gpu.chip + " with the version that is installed here.");
}

// TensorRT builds for one chip; what else a plan of TensorRT for RTX runs on, it says.
bool is_for(const EngineDescription& description, const std::string& chip) {
  constexpr const char* any_chip = "sm80+";  // every chip from sm80 on
  constexpr long first = 80;
  const auto has = [&](const std::string& wanted) {
    const auto& chips = description.chips;
    return std::find(chips.begin(), chips.end(), wanted) != chips.end();
  };
  if (description.flavor != "tensorrt" || description.chips.empty() || has(chip)) return true;
  return has(any_chip) && std::strtol(chip.c_str() + 2, nullptr, 10) >= first;
}

// Why a plan cannot run here, as far as the runtime can tell from its header; empty if it can.
std::string reasons(const nvinfer1::IRuntime& runtime, const std::vector<char>& plan) {
#ifdef TRT_MAJOR_RTX
  using Kind = nvinfer1::EngineInvalidityDiagnostics;
  constexpr std::array<std::pair<Kind, const char*>, 7> words{{
      {Kind::kVERSION_MISMATCH, "another version"},
      {Kind::kUNSUPPORTED_CC, "not for this GPU"},
      {Kind::kOLD_CUDA_DRIVER, "the CUDA driver is too old"},
      {Kind::kOLD_CUDA_RUNTIME, "the CUDA runtime is too old"},
      {Kind::kINSUFFICIENT_GPU_MEMORY, "the GPU has too little memory"},
      {Kind::kMALFORMED_ENGINE, "not an engine"},
      {Kind::kCUDA_ERROR, "CUDA is not installed as it should be"},
  }};
  const auto size = std::min(static_cast<std::int64_t>(plan.size()), runtime.getEngineHeaderSize());
  std::uint64_t found = 0;
  const auto validity = runtime.getEngineValidity(plan.data(), size, &found);
  if (validity != nvinfer1::EngineValidity::kINVALID) return {};
  std::string text;
  for (const auto& [kind, said] : words) {
    if (found & static_cast<std::uint64_t>(kind))
      text += (text.empty() ? "" : ", ") + std::string(said);
  }
  return text;
#else
  static_cast<void>(runtime);
  static_cast<void>(plan);
  return {};
#endif
}

}  // namespace

void Logger::log(Severity severity, const char* message) noexcept {
  if (severity != Severity::kERROR && severity != Severity::kINTERNAL_ERROR) return;
  try {
    const std::lock_guard lock(mutex_);
    if (first_.empty() && message) first_ = message;
  } catch (...) {  // no memory for words: there will be none
  }
}

std::string Logger::last_words() {
  std::string words;
  {
    const std::lock_guard lock(mutex_);
    words.swap(first_);
  }
  return words.empty() ? "it does not say why" : one_line(words);
}

void Logger::forget() noexcept {
  const std::lock_guard lock(mutex_);
  first_.clear();
}

Logger& logger() {
  // never destroyed: TensorRT may speak to it while the process ends
  alignas(Logger) static std::array<std::byte, sizeof(Logger)> memory;
  static auto* const made = ::new (memory.data()) Logger;
  return *made;
}

Deserialised deserialise(const std::filesystem::path& path, const EngineDescription& description,
                         const Gpu& gpu) {
  check_flavor(path, description);
  check_library();
  if (release_of(description.version) != library_version()) {  // the one that wrote it reads it
    throw not_for_here(path, description, gpu, "another version");
  }
  if (!is_for(description, gpu.chip))
    throw not_for_here(path, description, gpu, "not for this GPU");
  const std::vector<char> plan = read_plan(path, description);
  logger().forget();
  Deserialised made;
  made.runtime.reset(nvinfer1::createInferRuntime(logger()));
  if (!made.runtime) throw not_for_here(path, description, gpu, logger().last_words());
  const std::string why = reasons(*made.runtime, plan);
  made.engine.reset(made.runtime->deserializeCudaEngine(plan.data(), plan.size()));
  if (!made.engine) {
    throw not_for_here(path, description, gpu, why.empty() ? logger().last_words() : why);
  }
  if (!why.empty()) {  // said of GPUs that are not on its list, some of which run it
    made.warnings.push_back(path.u8string() + ": " + title(description.flavor) + " says on " +
                            gpu.name + " (" + gpu.chip + "): " + why + "; it is tried.");
  }
  return made;
}

std::string library_version() { return library().text(); }

}  // namespace dyncompile::detail

// Engines on disk, of networks that a pretend machine runs.
#ifndef DYNCOMPILE_TESTS_TENSORRT_ENGINES_HPP
#define DYNCOMPILE_TESTS_TENSORRT_ENGINES_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dyncompile/dyncompile.hpp"
#include "engine_file.hpp"
#include "fake/machine.hpp"

/// A machine and a folder, for one test; nothing may be left on the machine when it ends.
class Scene {
 public:
  Scene();
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  /// Writes an engine of this network, described by `change`d defaults.
  template <class Change>
  std::filesystem::path write(const fake::Network& network, Change change) {
    dyncompile::detail::EngineDescription description = described(network);
    change(description);
    return write_files(network, std::move(description));
  }
  std::filesystem::path write(const fake::Network& network) {
    return write(network, [](dyncompile::detail::EngineDescription&) {});
  }

  dyncompile::Net load(const fake::Network& network) {
    return dyncompile::Net::load(write(network));
  }

  /// What the machine runs: to be changed while it is loaded.
  fake::Network& network() { return *network_; }

 private:
  dyncompile::detail::EngineDescription described(const fake::Network& network) const;
  std::filesystem::path write_files(const fake::Network& network,
                                    dyncompile::detail::EngineDescription description);

  std::filesystem::path folder_;
  std::shared_ptr<fake::Network> network_;
  int written_ = 0;
};

/// y = x * (level + 1) + the thresholds together, and how many elements x has. The sizes are fixed.
fake::Network scaling(bool level_on_host = false);

/// The same for 1 to 8 rows, or as many as are given.
fake::Network dynamic(std::int64_t least = 1, std::int64_t most = 8);

/// Where x is not zero: as many as there are; and x twice.
fake::Network finding();

/// What `scaling` computes.
std::vector<float> scaled(const std::vector<float>& x, int level, float thresholds = 1.25F);

/// "TensorRT 11.4.1", or what was compiled.
std::string library_name();

/// Without the manifest of `scaling`: no knobs.
void without_knobs(dyncompile::detail::EngineDescription& description);

template <class T>
std::vector<T> elements(const fake::Value& value) {
  std::vector<T> found(value.bytes.size() / sizeof(T));
  if (!found.empty()) std::memcpy(found.data(), value.bytes.data(), value.bytes.size());
  return found;
}

template <class T>
fake::Value value_of(fake::Sizes shape, const std::vector<T>& of) {
  fake::Value value{std::move(shape), std::vector<unsigned char>(of.size() * sizeof(T))};
  if (!of.empty()) std::memcpy(value.bytes.data(), of.data(), value.bytes.size());
  return value;
}

template <class T>
std::vector<T> elements(const dyncompile::Tensor& tensor) {
  const T* first = tensor.data<T>();
  return {first, first + tensor.size()};
}

/// What `call` throws, which has to be of this kind, and one line.
template <class Kind, class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Kind& error) {
    const std::string said = error.what();
    return said.find('\n') == std::string::npos ? said : "several lines: " + said;
  } catch (const std::exception& error) {
    return std::string("of another kind: ") + error.what();
  }
  return "nothing is thrown";
}

#endif

// Execution providers of ONNX Runtime.
#ifndef DYNCOMPILE_SRC_ONNX_PROVIDERS_HPP
#define DYNCOMPILE_SRC_ONNX_PROVIDERS_HPP

#include <string>
#include <vector>

#include "dyncompile/net.hpp"
#include "onnx_api.hpp"

namespace dyncompile::detail {

constexpr const char* cpu_provider = "CPUExecutionProvider";

/// Asks for a provider. Throws Ort::Exception if it is not there or refuses its options.
void append_provider(Ort::SessionOptions& session, const Provider& provider);

/// As in `Conditions`: the name, and options if there are any.
std::string condition_of(const Provider& provider);

/// Their names.
std::vector<std::string> names_of(const std::vector<Provider>& providers);

/// Whether one of them works on memory of NVIDIA GPUs.
bool has_cuda(const std::vector<std::string>& names);

/// Those of the names that are not among the others.
std::vector<std::string> missing_from(const std::vector<std::string>& others,
                                      const std::vector<std::string>& names);

}  // namespace dyncompile::detail

#endif

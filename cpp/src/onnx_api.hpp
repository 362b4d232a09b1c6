// The C++ API of ONNX Runtime, whose library is asked for it when it is first used.
#ifndef DYNCOMPILE_SRC_ONNX_API_HPP
#define DYNCOMPILE_SRC_ONNX_API_HPP

// Under a name of our own: `Ort` keeps one pointer to the API for a whole program, and that of the
// application may be of another library.
#define Ort dyncompile_ort
#define ORT_API_MANUAL_INIT  // the library may be older than the headers, or not there
#include <onnxruntime_cxx_api.h>

#include <memory>
#include <string>

#if ORT_API_VERSION < 21
#error "dyncompile needs the headers of ONNX Runtime 1.21 or newer."
#endif

namespace dyncompile::detail {

/// The environment of the process, with which the API becomes usable; sessions keep it.
/// Throws TargetError if the library is older than the headers, or cannot be loaded.
std::shared_ptr<const Ort::Env> onnx_environment();

/// Of the library, such as "1.23.2".
const std::string& onnx_version();

}  // namespace dyncompile::detail

#endif

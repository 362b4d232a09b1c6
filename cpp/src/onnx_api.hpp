// The C++ API of ONNX Runtime, whose library is asked for it when it is first used.
#ifndef DYNCOMPILE_SRC_ONNX_API_HPP
#define DYNCOMPILE_SRC_ONNX_API_HPP

#define ORT_API_MANUAL_INIT  // the library may be older than the headers, or not there
#include <onnxruntime_cxx_api.h>

#include <string>

namespace dyncompile::detail {

/// The environment of the process, with which the API becomes usable.
/// Throws TargetError if the library is older than the headers, or cannot be loaded.
const Ort::Env& onnx_environment();

/// Of the library, such as "1.23.2".
const std::string& onnx_version();

}  // namespace dyncompile::detail

#endif

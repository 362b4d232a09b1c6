// Where the library of ONNX Runtime comes from.
#ifndef DYNCOMPILE_SRC_ONNX_LIBRARY_HPP
#define DYNCOMPILE_SRC_ONNX_LIBRARY_HPP

#include <onnxruntime_c_api.h>

namespace dyncompile::detail {

/// What the library begins with: it is linked, or, with DYNCOMPILE_LOAD_ONNXRUNTIME, loaded now and
/// kept. The file is then the one that the environment variable ONNXRUNTIME_LIBRARY names, or what
/// the system finds.
/// Throws TargetError if it cannot be loaded.
const OrtApiBase& onnx_library();

}  // namespace dyncompile::detail

#endif

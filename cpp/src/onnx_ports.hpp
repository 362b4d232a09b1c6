// Element types, inputs and outputs as ONNX Runtime tells them.
#ifndef DYNCOMPILE_SRC_ONNX_PORTS_HPP
#define DYNCOMPILE_SRC_ONNX_PORTS_HPP

#include <string>

#include "dyncompile/outputs.hpp"
#include "onnx_api.hpp"

namespace dyncompile::detail {

/// What ONNX Runtime calls an element type.
ONNXTensorElementDataType onnx_type(ElementType type);

/// What we call an element type of ONNX Runtime. Throws TargetError if no program can pass it;
/// `what` and `where` are for the message.
ElementType type_from_onnx(ONNXTensorElementDataType type, const std::string& what,
                           const std::string& where);

/// An input or output, by what its `role` is, such as "input". Throws TargetError for one that is
/// no tensor, or of a type or rank that no program can pass.
Port port_from_onnx(std::string name, const Ort::TypeInfo& info, const char* role,
                    const std::string& where);

}  // namespace dyncompile::detail

#endif

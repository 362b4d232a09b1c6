#include "onnx_ports.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "dyncompile/errors.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

TargetError not_passed(const std::string& what, const std::string& is, const std::string& where) {
  return {what + " is " + is + ", which a C++ program cannot pass.", where,
          "Change the network, or run it from Python."};
}

struct TypePair {
  ONNXTensorElementDataType theirs;
  ElementType ours;
};

constexpr TypePair types[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, ElementType::boolean},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, ElementType::float16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, ElementType::bfloat16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ElementType::float32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, ElementType::float64},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, ElementType::int8},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, ElementType::int16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, ElementType::int32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, ElementType::int64},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, ElementType::uint8},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, ElementType::uint16},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, ElementType::uint32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, ElementType::uint64},
};

}  // namespace

ONNXTensorElementDataType onnx_type(ElementType type) {
  for (const TypePair& pair : types) {
    if (pair.ours == type) return pair.theirs;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

ElementType type_from_onnx(ONNXTensorElementDataType type, const std::string& what,
                           const std::string& where) {
  for (const TypePair& pair : types) {
    if (pair.theirs == type) return pair.ours;
  }
  throw not_passed(what, "of element type " + std::to_string(type) + " of ONNX", where);
}

Port port_from_onnx(std::string name, const Ort::TypeInfo& info, const char* role,
                    const std::string& where) {
  const std::string what = std::string(role) + " " + in_quotes(name);
  if (info.GetONNXType() != ONNX_TYPE_TENSOR) throw not_passed(what, "no tensor", where);
  const auto tensor = info.GetTensorTypeAndShapeInfo();
  const ElementType type = type_from_onnx(tensor.GetElementType(), what, where);
  Port port{std::move(name), type, tensor.GetShape(), {}};
  if (port.sizes.size() > Shape::max_rank) {
    throw not_passed(what, "a tensor of " + std::to_string(port.sizes.size()) + " sizes", where);
  }
  for (std::int64_t& size : port.sizes) size = std::max<std::int64_t>(size, -1);
  std::vector<const char*> symbols(port.sizes.size(), "");
  tensor.GetSymbolicDimensions(symbols.data(), symbols.size());
  port.symbols.assign(symbols.begin(), symbols.end());
  return port;
}

}  // namespace dyncompile::detail

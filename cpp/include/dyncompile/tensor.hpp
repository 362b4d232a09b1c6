// Tensors: views of memory that callers own, and outputs that own theirs.
#ifndef DYNCOMPILE_TENSOR_HPP
#define DYNCOMPILE_TENSOR_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "dyncompile/errors.hpp"

namespace dyncompile {

/// Element types that inputs and outputs of an artifact can have.
enum class ElementType : std::uint8_t {
  boolean,
  float16,
  bfloat16,
  float32,
  float64,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
};

/// The bits of an IEEE 754 half.
struct float16 {
  std::uint16_t bits;
};

/// The upper half of the bits of a float.
struct bfloat16 {
  std::uint16_t bits;
};

/// Bytes of one element.
std::size_t size_of(ElementType type) noexcept;

/// As numpy calls it: "float32", "bool".
std::string_view name_of(ElementType type) noexcept;

namespace detail {

template <class T, class = void>
struct ElementTypeOf;

#define DYNCOMPILE_ELEMENT(T, TYPE)                         \
  template <>                                               \
  struct ElementTypeOf<T> {                                 \
    static constexpr ElementType value = ElementType::TYPE; \
  }
DYNCOMPILE_ELEMENT(bool, boolean);
DYNCOMPILE_ELEMENT(float16, float16);
DYNCOMPILE_ELEMENT(bfloat16, bfloat16);
DYNCOMPILE_ELEMENT(float, float32);
DYNCOMPILE_ELEMENT(double, float64);
#undef DYNCOMPILE_ELEMENT

/// Integers are told by their size, so that `long` and `long long` both have a type everywhere.
template <class T>
inline constexpr bool is_integer =
    std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char> &&
    !std::is_same_v<T, wchar_t> && !std::is_same_v<T, char16_t> && !std::is_same_v<T, char32_t>;

template <class T>
struct ElementTypeOf<T, std::enable_if_t<is_integer<T>>> {
  static constexpr ElementType of(ElementType signed_type, ElementType unsigned_type) {
    return std::is_signed_v<T> ? signed_type : unsigned_type;
  }
  static constexpr ElementType value =
      sizeof(T) == 1   ? of(ElementType::int8, ElementType::uint8)
      : sizeof(T) == 2 ? of(ElementType::int16, ElementType::uint16)
      : sizeof(T) == 4 ? of(ElementType::int32, ElementType::uint32)
                       : of(ElementType::int64, ElementType::uint64);
};

/// Well-formed if T is the type of elements.
template <class T>
using IfElement = decltype(ElementTypeOf<std::remove_cv_t<T>>::value);

}  // namespace detail

/// The element type of a C++ type, such as `element_type<float>`.
template <class T>
inline constexpr ElementType element_type = detail::ElementTypeOf<std::remove_cv_t<T>>::value;

/// Sizes of a tensor, kept in place.
class Shape {
 public:
  static constexpr std::size_t max_rank = 8;

  constexpr Shape() noexcept = default;

  /// Throws InputError for more than `max_rank` sizes.
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(sizes.begin(), sizes.size()) {}

  /// Throws InputError for more than `max_rank` sizes.
  Shape(const std::int64_t* sizes, std::size_t rank);

  /// Throws InputError for more than `max_rank` sizes.
  Shape(const std::vector<std::int64_t>& sizes)  // NOLINT(google-explicit-constructor)
      : Shape(sizes.data(), sizes.size()) {}

  std::size_t rank() const noexcept { return rank_; }
  const std::int64_t* begin() const noexcept { return sizes_.data(); }
  const std::int64_t* end() const noexcept { return sizes_.data() + rank_; }
  std::int64_t operator[](std::size_t axis) const noexcept { return sizes_[axis]; }

  /// Their product, 1 for a scalar. Throws InputError if a size is negative or there are more
  /// elements than memory has addresses.
  std::size_t elements() const;

  /// As "[1, 3, 32, 32]".
  std::string to_string() const;

  friend bool operator==(const Shape& one, const Shape& other) noexcept {
    if (one.rank_ != other.rank_) return false;
    for (std::size_t axis = 0; axis < one.rank_; ++axis) {
      if (one.sizes_[axis] != other.sizes_[axis]) return false;
    }
    return true;
  }
  friend bool operator!=(const Shape& one, const Shape& other) noexcept { return !(one == other); }

 private:
  std::array<std::int64_t, max_rank> sizes_{};
  std::size_t rank_ = 0;
};

/// Where memory is.
struct Device {
  enum class Kind : std::uint8_t { cpu, cuda };
  Kind kind = Kind::cpu;
  int number = 0;  ///< Of the GPU, as CUDA counts.

  /// Memory of a GPU.
  static constexpr Device cuda(int number = 0) noexcept { return {Kind::cuda, number}; }
};

namespace detail {

/// Memory that somebody else owns; `Pointer` is `const void*` or `void*`.
template <class Pointer>
class View {
 public:
  /// Nothing.
  View() noexcept : View(nullptr, ElementType::float32, Shape()) {}
  View(Pointer data, ElementType type, Shape shape, Device device = {}) noexcept
      : data_(data), shape_(shape), device_(device), type_(type) {}

  Pointer data() const noexcept { return data_; }
  ElementType type() const noexcept { return type_; }
  const Shape& shape() const noexcept { return shape_; }
  Device device() const noexcept { return device_; }

  /// Throws InputError as `Shape::elements` does.
  std::size_t bytes() const { return shape_.elements() * size_of(type_); }

  /// As "float32[1, 3, 32, 32]".
  std::string to_string() const { return std::string(name_of(type_)) + shape_.to_string(); }

 private:
  Pointer data_;
  Shape shape_;
  Device device_;
  ElementType type_;
};

void check_count(std::size_t given, const Shape& shape);

}  // namespace detail

/// What an input is read from, without a copy: contiguous, row-major, alive during the call.
class TensorView : public detail::View<const void*> {
 public:
  using View::View;

  /// `float[...]`, `std::int64_t[...]`, ...: of the type of the pointer.
  template <class T, class = detail::IfElement<T>>
  TensorView(const T* data, Shape shape, Device device = {}) noexcept
      : View(data, element_type<T>, shape, device) {}

  /// A std::vector, a std::array or a span that has a name. Throws InputError if it has not as many
  /// elements as the shape.
  template <class C, class T = std::remove_pointer_t<decltype(std::declval<const C&>().data())>,
            class = detail::IfElement<T>>
  TensorView(const C& elements, Shape shape) : View(elements.data(), element_type<T>, shape) {
    detail::check_count(elements.size(), shape);
  }
  template <class C, class T = std::remove_pointer_t<decltype(std::declval<const C&>().data())>,
            class = detail::IfElement<T>>
  TensorView(const C&& elements, Shape shape) = delete;  // it would be gone before the call
};

/// What an output is written to, without a copy: contiguous, row-major, alive during the call.
class MutableTensorView : public detail::View<void*> {
 public:
  using View::View;

  /// As of TensorView.
  template <class T, class = detail::IfElement<T>, std::enable_if_t<!std::is_const_v<T>, int> = 0>
  MutableTensorView(T* data, Shape shape, Device device = {}) noexcept
      : View(data, element_type<T>, shape, device) {}

  /// As of TensorView.
  template <class C, class T = std::remove_pointer_t<decltype(std::declval<C&>().data())>,
            class = detail::IfElement<T>, std::enable_if_t<!std::is_const_v<T>, int> = 0>
  MutableTensorView(C& elements, Shape shape) : View(elements.data(), element_type<T>, shape) {
    detail::check_count(elements.size(), shape);
  }
};

/// An output: memory of its own, on the host.
class Tensor {
 public:
  /// `data` stays good as long as `owner` lives.
  Tensor(const void* data, ElementType type, Shape shape,
         std::shared_ptr<const void> owner) noexcept
      : view_(data, type, shape), owner_(std::move(owner)) {}
  /// What is moved from is empty.
  Tensor(Tensor&& other) noexcept
      : view_(std::exchange(other.view_, {})), owner_(std::move(other.owner_)) {}
  Tensor& operator=(Tensor&& other) noexcept {
    view_ = std::exchange(other.view_, {});
    owner_ = std::move(other.owner_);
    return *this;
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  ElementType type() const noexcept { return view_.type(); }
  const Shape& shape() const noexcept { return view_.shape(); }

  /// Number of elements.
  std::size_t size() const { return view_.shape().elements(); }

  /// The elements; good as long as this lives. Throws InputError if they are not of type T.
  template <class T>
  const T* data() const& {
    check(element_type<T>);
    return static_cast<const T*>(view_.data());
  }
  template <class T>
  const T* data() const&& = delete;  // they would be gone: keep the tensor

  /// The memory, whatever the type; good as long as this lives.
  const void* raw() const& noexcept { return view_.data(); }
  const void* raw() const&& = delete;

  /// To be fed to another network; good as long as this lives.
  const TensorView& view() const noexcept { return view_; }

 private:
  void check(ElementType wanted) const;

  TensorView view_;
  std::shared_ptr<const void> owner_;
};

}  // namespace dyncompile

#endif

// Calls that bytes stand for: where these are zero or have ended, a right one.
#ifndef DYNCOMPILE_FUZZ_DRAWN_CALL_HPP
#define DYNCOMPILE_FUZZ_DRAWN_CALL_HPP

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dyncompile/dyncompile.hpp"

/// A call, and all that it refers to. Memory is as large as its view says; there is none for views
/// beyond `most_bytes`, and sometimes none for others.
class DrawnCall {
 public:
  DrawnCall(const dyncompile::Net& net, FuzzedDataProvider& data) : net_(net), data_(data) {}
  DrawnCall(const DrawnCall&) = delete;
  DrawnCall& operator=(const DrawnCall&) = delete;

  /// Throws InputError for a rank that no shape has.
  std::vector<dyncompile::Input> inputs() {
    std::vector<dyncompile::Input> drawn;
    for (const dyncompile::Port& port : net_.inputs()) {
      const std::size_t times = count();
      for (std::size_t time = 0; time < times; ++time) {
        const std::string_view name = one_like(port.name);
        drawn.push_back({name, view<dyncompile::TensorView>(port, like(port))});
      }
    }
    return drawn;
  }

  std::vector<dyncompile::Setting> settings() {
    std::vector<dyncompile::Setting> drawn;
    for (const dyncompile::Knob& knob : net_.knobs()) {
      const std::size_t times = pick(2) == 0 ? 0 : count();
      for (std::size_t time = 0; time < times; ++time) {
        const std::string_view name = one_like(knob.name);
        drawn.push_back({name, value(knob)});
      }
    }
    return drawn;
  }

  /// What fits `outputs`, those of the same call; what fits the ports if there are none.
  std::vector<dyncompile::Buffer> buffers(const dyncompile::Outputs* outputs) {
    std::vector<dyncompile::Buffer> drawn;
    std::size_t number = 0;
    for (const dyncompile::Port& port : net_.outputs()) {
      const std::size_t times = count();
      const dyncompile::Shape shape = outputs ? (*outputs)[number].shape() : like(port);
      ++number;
      for (std::size_t time = 0; time < times; ++time) {
        const std::string_view name = one_like(port.name);
        drawn.push_back({name, view<dyncompile::MutableTensorView>(port, shape)});
      }
    }
    return drawn;
  }

  /// Ends the program if anything was written behind a buffer, or in front of it.
  void check_edges() const {
    for (const auto& bytes : memory_) {
      const auto is_edge = [](unsigned char byte) { return byte == edge; };
      if (!std::all_of(bytes.begin(), bytes.begin() + margin, is_edge) ||
          !std::all_of(bytes.end() - margin, bytes.end(), is_edge)) {
        std::abort();
      }
    }
  }

 private:
  static constexpr std::size_t most_bytes = 1 << 16;
  static constexpr std::ptrdiff_t margin = 64;
  static constexpr unsigned char edge = 0xA5;

  std::size_t pick(std::size_t count) {
    return data_.ConsumeIntegralInRange<std::size_t>(0, count - 1);
  }
  bool rarely() { return pick(16) == 1; }
  /// How often something is given.
  std::size_t count() { return rarely() ? pick(3) : 1; }

  std::string_view one_like(const std::string& name) {
    if (!rarely()) return name;
    const std::string cut = name.substr(0, name.size() - 1);
    const std::string others[] = {"",          name + '\0', name + "\n", cut,
                                  "no\r\n\tq", "\xff\xfe",  "level",     std::string(70000, 'x')};
    const std::size_t which = pick(std::size(others) + 1);
    texts_.push_back(which < std::size(others) ? others[which]
                                               : data_.ConsumeRandomLengthString(20));
    return texts_.back();
  }

  /// Sizes that fit; those that are free are small, and the same for the same symbol.
  dyncompile::Shape like(const dyncompile::Port& port) {
    std::vector<std::int64_t> sizes = port.sizes;
    for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
      if (sizes[axis] >= 0) continue;
      const auto drawn = static_cast<std::int64_t>(2 + pick(4));
      sizes[axis] = sizes_.emplace(port.symbols[axis], drawn).first->second;
    }
    return {sizes.data(), sizes.size()};
  }

  dyncompile::Shape changed(const dyncompile::Shape& shape) {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t odd[] = {0,   1,  2,         3,         -1,        -most - 1,
                                    256, 65, 1LL << 16, 1LL << 32, 1LL << 40, most};
    std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    if (rarely()) sizes.resize(pick(dyncompile::Shape::max_rank + 2), 1);
    for (std::int64_t& size : sizes) {
      if (rarely()) size = odd[pick(std::size(odd))];
    }
    return {sizes.data(), sizes.size()};
  }

  template <class View>
  View view(const dyncompile::Port& port, const dyncompile::Shape& fitting) {
    const auto type = rarely() ? static_cast<dyncompile::ElementType>(pick(13)) : port.type;
    const dyncompile::Shape shape = changed(fitting);
    std::size_t bytes = most_bytes + 1;
    try {
      bytes = View(nullptr, type, shape).bytes();
    } catch (const dyncompile::InputError&) {  // there is no such memory
    }
    void* const start = bytes > most_bytes || rarely() ? nullptr : memory(type, bytes);
    if (!rarely()) return {start, type, shape};
    return {start, type, shape, dyncompile::Device::cuda(static_cast<int>(pick(3)) - 1)};
  }

  void* memory(dyncompile::ElementType type, std::size_t bytes) {
    std::vector<unsigned char> filled(bytes + 2 * margin, edge);
    const bool is_bool = type == dyncompile::ElementType::boolean;
    const unsigned char fill = data_.ConsumeIntegral<unsigned char>();
    for (std::size_t at = 0; at < bytes; ++at) {
      const auto byte = static_cast<unsigned char>(fill * (at + 1));
      filled[margin + at] = is_bool ? byte & 1 : byte;
    }
    memory_.push_back(std::move(filled));
    return memory_.back().data() + margin;
  }

  double number() {
    using Float = std::numeric_limits<float>;
    using Double = std::numeric_limits<double>;
    const double odd[] = {0,
                          0.3,
                          1,
                          -0.0,
                          1 + 1e-12,
                          -1e-12,
                          Double::quiet_NaN(),
                          Double::infinity(),
                          -Double::infinity(),
                          Double::max(),
                          Double::lowest(),
                          Double::denorm_min(),
                          static_cast<double>(Float::max()) * (1 + 1e-9),
                          1e300};
    const std::size_t which = pick(std::size(odd) + 1);
    return which < std::size(odd) ? odd[which] : data_.ConsumeFloatingPoint<double>();
  }

  static float single(double number) {
    if (number != number) return std::numeric_limits<float>::quiet_NaN();
    const auto most = static_cast<double>(std::numeric_limits<float>::max());
    return static_cast<float>(std::clamp(number, -most, most));
  }

  std::size_t length(const dyncompile::Knob& knob) {
    const dyncompile::Threshold* range = knob.threshold();
    const std::size_t right = range ? range->defaults.size() : 1;
    const std::size_t others[] = {right, 0, 1, right + 1, 17, 1000};
    return others[rarely() ? pick(std::size(others)) : 0];
  }

  /// Of the kind that the knob is, or of any.
  dyncompile::KnobValue value(const dyncompile::Knob& knob) {
    const std::size_t first = knob.levels() ? 0 : 3;
    switch ((first + (rarely() ? pick(10) : knob.levels() ? 0 : pick(2))) % 10) {
      case 0:
        return static_cast<int>(pick(4)) - (rarely() ? 2 : 0);
      case 1:
        return data_.ConsumeIntegral<std::uint64_t>();
      case 2:
        return data_.ConsumeIntegral<std::int64_t>();
      case 3:
        return number();
      case 4: {
        std::vector<double> list(length(knob));
        for (double& each : list) each = number();
        doubles_.push_back(std::move(list));
        return doubles_.back();
      }
      case 5: {
        std::vector<float> list(length(knob));
        for (float& each : list) each = single(number());
        floats_.push_back(std::move(list));
        return floats_.back();
      }
      case 6:
        return single(number());
      case 7:
        return kept(static_cast<std::int64_t>(pick(3)));
      case 8:
        return kept(number());
      default:
        return kept(std::vector<double>(length(knob), number()));
    }
  }

  dyncompile::KnobValue kept(dyncompile::OwnedValue value) {
    owned_.push_back(std::move(value));
    return owned_.back();
  }

  const dyncompile::Net& net_;
  FuzzedDataProvider& data_;
  std::map<std::string, std::int64_t> sizes_;
  std::deque<std::string> texts_;
  std::deque<std::vector<unsigned char>> memory_;
  std::deque<std::vector<double>> doubles_;
  std::deque<std::vector<float>> floats_;
  std::deque<dyncompile::OwnedValue> owned_;
};

#endif

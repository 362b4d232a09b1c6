#include "calibration_samples.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>

#include "fitting.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

constexpr std::size_t drawn_samples = 8;

using Generator = std::mt19937_64;

/// The nearest half to a finite number.
float16 as_half(double number) {
  const std::uint16_t sign = std::signbit(number) ? 0x8000 : 0;
  const double size = std::abs(number);
  constexpr double least_normal = 0x1p-14, beyond = 65520;
  if (size >= beyond) return {static_cast<std::uint16_t>(sign | 0x7C00)};
  const int exponent = size < least_normal ? -14 : std::ilogb(size);
  const auto steps = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  return {static_cast<std::uint16_t>(sign | (((exponent + 14) << 10) + steps))};
}

/// The upper half of a float; what is cut off does not matter of noise.
bfloat16 as_brain(double number) {
  const auto single = static_cast<float>(number);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  return {static_cast<std::uint16_t>(bits >> 16)};
}

template <class T, class Convert>
void write_noise(std::byte* memory, std::size_t count, Generator& generator, Convert convert) {
  std::normal_distribution<double> normal;
  for (std::size_t at = 0; at < count; ++at) {
    const T number = convert(normal(generator));
    std::memcpy(memory + at * sizeof number, &number, sizeof number);
  }
}

/// Fills memory that holds zeros.
void fill(std::byte* memory, ElementType type, std::size_t count, Generator& generator) {
  if (type == ElementType::float16) {
    write_noise<float16>(memory, count, generator, as_half);
  } else if (type == ElementType::bfloat16) {
    write_noise<bfloat16>(memory, count, generator, as_brain);
  } else if (type == ElementType::float32) {
    write_noise<float>(memory, count, generator, [](double x) { return static_cast<float>(x); });
  } else if (type == ElementType::float64) {
    write_noise<double>(memory, count, generator, [](double x) { return x; });
  }
}

Shape drawable(const Port& port) {
  std::vector<std::int64_t> sizes = port.sizes;
  std::replace_if(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 0; }, 1);
  return {sizes.data(), sizes.size()};
}

void check_names(const std::vector<Port>& inputs, const Sample& sample, std::size_t number) {
  std::vector<std::string_view> wanted, given;
  for (const Port& port : inputs) wanted.emplace_back(port.name);
  for (const Input& input : sample) given.push_back(input.name);
  std::sort(wanted.begin(), wanted.end());
  std::sort(given.begin(), given.end());
  if (wanted == given) return;
  const auto name_of_input = [](const Input& input) { return std::string(input.name); };
  const auto name_of_port = [](const Port& port) { return port.name; };
  throw InputError("it holds " + joined(sample, name_of_input, "nothing") + "; the inputs are " +
                       joined(inputs, name_of_port, "none") + ".",
                   "sample " + std::to_string(number), "Give every input, and knobs as points.");
}

}  // namespace

DrawnSamples draw_samples(const std::vector<Port>& inputs) {
  Generator generator;
  DrawnSamples drawn;
  for (std::size_t number = 0; number < drawn_samples; ++number) {
    Sample sample;
    for (const Port& port : inputs) {
      const Shape shape = drawable(port);
      const std::size_t count = shape.elements();
      auto memory = std::make_unique<std::byte[]>(count * size_of(port.type));
      fill(memory.get(), port.type, count, generator);
      const void* const data = memory.get();
      sample.push_back({port.name, TensorView(data, port.type, shape)});
      drawn.memory.push_back(std::move(memory));
    }
    drawn.samples.push_back(std::move(sample));
  }
  return drawn;
}

void check_samples(const std::vector<Port>& inputs, const std::vector<Sample>& samples) {
  for (std::size_t number = 0; number < samples.size(); ++number) {
    check_names(inputs, samples[number], number);
    for (const Input& input : samples[number]) {
      const auto port = std::find_if(inputs.begin(), inputs.end(),
                                     [&](const Port& each) { return each.name == input.name; });
      if (input.view.type() != port->type || !fits(*port, input.view.shape())) {
        throw InputError(input.view.to_string() + " does not fit.",
                         "sample " + std::to_string(number) + ", input " + in_quotes(port->name),
                         "Give " + port->to_string() + ".");
      }
    }
  }
}

}  // namespace dyncompile::detail

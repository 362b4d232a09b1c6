#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "dyncompile/outputs.hpp"
#include "dyncompile/tensor.hpp"

using namespace dyncompile;

TEST_CASE("sizes of a shape multiply") {
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape{2, 3, 4}.elements() == 24);
  CHECK(Shape{2, 0, 4}.elements() == 0);
  CHECK(Shape{2, 3}.to_string() == "[2, 3]");
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2, 3} != Shape{2});
}

TEST_CASE("shapes that no tensor has are refused") {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t least = std::numeric_limits<std::int64_t>::min();
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), InputError);
  CHECK_THROWS_AS(Shape({-1, 2}).elements(), InputError);
  CHECK_THROWS_AS(Shape({least}).elements(), InputError);
  CHECK_THROWS_AS(Shape({most}).elements(), InputError);
  CHECK_THROWS_AS(Shape({1 << 30, 1 << 30, 1 << 30}).elements(), InputError);
  CHECK(Shape({most, 0, most}).elements() == 0);
  CHECK_THROWS_AS(Shape({0, -1}).elements(), InputError);
}

TEST_CASE("a view has the type of what it views") {
  const std::vector<float> floats(6);
  const std::array<std::uint8_t, 6> bytes{};
  const bool flag = true;
  const std::int64_t level = 2;
  CHECK(TensorView(floats, {2, 3}).to_string() == "float32[2, 3]");
  CHECK(TensorView(floats, {2, 3}).bytes() == 24);
  CHECK(TensorView(bytes, {6}).to_string() == "uint8[6]");
  CHECK(TensorView(&flag, {}).to_string() == "bool[]");
  CHECK(TensorView(&level, {1}).type() == ElementType::int64);
  CHECK(TensorView(static_cast<const void*>(&level), ElementType::uint16, {4}).bytes() == 8);
  CHECK(TensorView().data() == nullptr);
  CHECK(TensorView(floats.data(), {6}, Device::cuda(1)).device().number == 1);
}

TEST_CASE("a vector has as many elements as its shape") {
  const std::vector<float> floats(6);
  std::vector<float> scores(10);
  CHECK_THROWS_WITH_AS(TensorView(floats, {2, 2}),
                       "shape: 6 elements are not [2, 2]. Give a shape with as many elements.",
                       InputError);
  CHECK_THROWS_AS(MutableTensorView(scores, {11}), InputError);
  CHECK(MutableTensorView(scores, {1, 10}).data() == scores.data());
}

TEST_CASE("every element type has a name and a size") {
  std::size_t bytes = 0;
  for (int number = 0; number <= static_cast<int>(ElementType::uint64); ++number) {
    const auto type = static_cast<ElementType>(number);
    CHECK(!name_of(type).empty());
    bytes += size_of(type);
  }
  CHECK(bytes == 1 + 2 + 2 + 4 + 8 + 2 * (1 + 2 + 4 + 8));
  CHECK(size_of(element_type<const float16>) == sizeof(float16));
  CHECK(size_of(element_type<bfloat16>) == sizeof(bfloat16));
}

TEST_CASE("outputs are found by number and by name, and read as what they are") {
  const auto memory = std::make_shared<std::vector<float>>(3, 0.5F);
  const auto ports = std::make_shared<const std::vector<Port>>(
      std::vector<Port>{{"scores", ElementType::float32, {-1, 3}, {"batch", ""}}});
  std::vector<Tensor> tensors;
  tensors.emplace_back(memory->data(), ElementType::float32, Shape{1, 3}, memory);
  const Outputs outputs(ports, std::move(tensors));
  CHECK(outputs["scores"].data<float>()[2] == 0.5F);
  CHECK(outputs[0].size() == 3);
  CHECK(outputs.size() == 1);
  CHECK_THROWS_WITH_AS(outputs["score"],
                       "output 'score': the network has no such output. Its outputs are scores.",
                       InputError);
  CHECK_THROWS_WITH_AS(
      outputs[1], "output 1: the network has no such output. Count from 0; it has 1.", InputError);
  CHECK_THROWS_WITH_AS(
      outputs[0].data<double>(),
      "output float32[1, 3]: read as float64. Ask for its own type, or look at type() first.",
      InputError);
  CHECK((*ports)[0].to_string() == "float32[batch, 3]");
  CHECK(Port{"x", ElementType::boolean, {-1}, {}}.to_string() == "bool[?]");
}

TEST_CASE("an error says what, where and what to do") {
  const KnobError error("3 is not a level.", "knob 'level'", "Give 0 to 2.");
  CHECK(std::string(error.what()) == "knob 'level': 3 is not a level. Give 0 to 2.");
  const KnobError copy = error;
  CHECK(copy.problem() == "3 is not a level.");
  CHECK(copy.where() == "knob 'level'");
  CHECK(copy.remedy() == "Give 0 to 2.");
}

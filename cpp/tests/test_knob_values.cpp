#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "dyncompile/errors.hpp"
#include "knob_values.hpp"

using namespace dyncompile;
using detail::level_of;

namespace {

const double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const Knob level{"level", Levels{{0.5, 1.0, std::string("all")}, 1}};

Knob threshold(double low, double high) { return {"t", Threshold{{0.5}, false, low, high}}; }

float one(const Knob& knob, const KnobValue& value) {
  float found = -1;
  detail::write_thresholds(knob, value, &found);
  return found;
}

}  // namespace

TEST_CASE("any integer can be a level") {
  CHECK(level_of(level, 2) == 2);
  CHECK(level_of(level, 2U) == 2);
  CHECK(level_of(level, std::size_t{0}) == 0);
  CHECK(level_of(level, std::int8_t{1}) == 1);
  CHECK(level_of(level, OwnedValue(std::int64_t{1})) == 1);
}

TEST_CASE("what is no level is refused") {
  const std::string remedy = " is not a level. Give a whole number from 0 to 2.";
  CHECK_THROWS_WITH_AS(level_of(level, 3), ("knob 'level': 3" + remedy).c_str(), KnobError);
  CHECK_THROWS_WITH_AS(level_of(level, -1), ("knob 'level': -1" + remedy).c_str(), KnobError);
  CHECK_THROWS_WITH_AS(level_of(level, 1.0), ("knob 'level': 1.0" + remedy).c_str(), KnobError);
  CHECK_THROWS_AS(level_of(level, 0.5F), KnobError);
  CHECK_THROWS_AS(level_of(level, std::numeric_limits<std::uint64_t>::max()), KnobError);
  CHECK_THROWS_AS(level_of(level, std::numeric_limits<std::int64_t>::min()), KnobError);
  const std::vector<double> several = {1, 2};
  CHECK_THROWS_AS(level_of(level, several), KnobError);
}

TEST_CASE("a threshold is in range as the float that the graph sees") {
  const Knob knob = threshold(0, 0.8);
  CHECK(one(knob, 0.8F) == 0.8F);
  CHECK(one(knob, 0.8) == 0.8F);
  CHECK(one(knob, 0) == 0.0F);
  CHECK(one(knob, -0.0) == 0.0F);
  CHECK_THROWS_WITH_AS(
      one(knob, std::nextafter(0.8F, 1.0F)),
      "knob 't': 0.8000001 is not a threshold. Give one number from 0 to 0.8, or an infinity.",
      KnobError);
  CHECK_THROWS_AS(one(knob, -1e-30), KnobError);
}

TEST_CASE("infinities are always legal, NaN and numbers that no float holds never") {
  const Knob open = threshold(-infinity, infinity);
  for (const Knob& knob : {threshold(0, 1), open}) {
    CHECK(one(knob, infinity) == std::numeric_limits<float>::infinity());
    CHECK(one(knob, -infinity) == -std::numeric_limits<float>::infinity());
    CHECK_THROWS_AS(one(knob, not_a_number), KnobError);
    CHECK_THROWS_AS(one(knob, std::numeric_limits<float>::quiet_NaN()), KnobError);
    CHECK_THROWS_AS(one(knob, 1e39), KnobError);
    CHECK_THROWS_AS(one(knob, -1e300), KnobError);
  }
  CHECK(KnobValue(std::copysign(not_a_number, -1.0)).to_string() == "nan");
  CHECK(one(open, 3e38) == 3e38F);
}

TEST_CASE("one number stands for all of a vector, and several are as many") {
  const Knob knob{"t", Threshold{{0.1, 0.2, 0.3}, true, 0, 1}};
  float found[3];
  detail::write_thresholds(knob, 0.5F, found);
  CHECK((found[0] == 0.5F && found[2] == 0.5F));
  const std::vector<float> singles = {0.1F, 0.2F, 1.0F};
  detail::write_thresholds(knob, singles, found);
  CHECK((found[0] == 0.1F && found[2] == 1.0F));
  const std::vector<double> two = {0.1, 0.2};
  CHECK_THROWS_WITH_AS(
      detail::write_thresholds(knob, two, found),
      "knob 't': [0.1, 0.2] is not a threshold. Give 3 numbers from 0 to 1, or an infinity.",
      KnobError);
  const std::vector<double> none;
  CHECK_THROWS_AS(detail::write_thresholds(knob, none, found), KnobError);
  const std::vector<double> alone = {0.25};
  CHECK(one(threshold(0, 1), alone) == 0.25F);
}

TEST_CASE("the input of the graph follows from the knob") {
  CHECK(detail::port_of(level).to_string() == "int64[]");
  CHECK(detail::port_of(threshold(0, 1)).to_string() == "float32[]");
  CHECK(detail::port_of({"t", Threshold{{0.5}, true, 0, 1}}).to_string() == "float32[1]");
  CHECK(std::get<std::int64_t>(detail::default_of(level)) == 1);
  CHECK(std::get<double>(detail::default_of(threshold(0, 1))) == 0.5);
}

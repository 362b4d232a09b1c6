#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include "dyncompile/errors.hpp"
#include "dyncompile/manifest.hpp"

using dyncompile::ArtifactError;
using dyncompile::Decision;
using dyncompile::InputError;
using dyncompile::Manifest;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

const std::string whole = R"({
  "format": 1, "target": "onnx", "precision": "float32", "later": [{"a": null}],
  "knobs": {
    "threshold": {"kind": "threshold", "default": [0.9, "inf"], "low": 0, "high": 1e39},
    "level": {"kind": "levels", "values": [0.25, "größe"], "default": 1}
  },
  "decisions": [
    {"name": "exit", "kind": "gate", "values": ["take"], "under": [["twin", 3]],
     "sides": [{"macs": 0, "weight_bytes": 0}, {"macs": 9223372036854775807, "weight_bytes": 4}]},
    {"name": "width", "kind": "switch", "values": [], "under": [],
     "sides": [{"macs": 1, "weight_bytes": 2}], "aliases": [["twin", [3]]]}
  ],
  "operating_points": [{"threshold": 1}, {"threshold": [0.5, "-inf"], "level": 0}],
  "external_data": {"file": "net.onnx.data", "bytes": 8,
    "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
  "budgets": [
    {"decision": "width", "levels": 1},
    {"decision": "width", "levels": 2, "lowering": "chain", "why": "small",
     "barriers": [{"at": "Softmax a", "why": "sums"}]}
  ],
  "telemetry": {"exit": "exit_taken", "width": "width_taken"}
})";

std::string problem_of(const std::string& text) {
  try {
    Manifest::from_json(text, "net.onnx");
  } catch (const ArtifactError& error) {
    CHECK(error.where() == "net.onnx");
    return error.problem();
  }
  return "";
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const std::size_t at = text.find(part);
  REQUIRE(at != std::string::npos);
  return text.replace(at, part.size(), by);
}

}  // namespace

TEST_CASE("a manifest is read: knobs") {
  const Manifest manifest = Manifest::from_json(whole, "net.onnx");
  CHECK(manifest.target == "onnx");
  CHECK(manifest.precision == "float32");
  REQUIRE(manifest.knobs.size() == 2);
  CHECK(manifest.knobs[0].name == "level");
  REQUIRE(manifest.knobs[0].levels());
  CHECK(std::get<double>(manifest.knobs[0].levels()->values.at(0)) == 0.25);
  CHECK(std::get<std::string>(manifest.knobs[0].levels()->values.at(1)) == "größe");
  CHECK(manifest.knobs[0].levels()->default_level == 1);
  const dyncompile::Threshold* threshold = manifest.knobs[1].threshold();
  REQUIRE(threshold);
  CHECK(threshold->is_vector);
  CHECK(threshold->defaults == std::vector<double>{0.9, infinity});
  CHECK(threshold->low == 0);
  CHECK(threshold->high == 1e39);
}

TEST_CASE("a manifest is read: decisions") {
  const Manifest manifest = Manifest::from_json(whole, "net.onnx");
  REQUIRE(manifest.decisions.size() == 2);
  const Decision &gate = manifest.decisions[0], &choice = manifest.decisions[1];
  CHECK(gate.kind == Decision::Kind::gate);
  CHECK(gate.values == std::vector<std::string>{"take"});
  CHECK(gate.under.at(0) == std::pair<std::string, std::int64_t>("twin", 3));
  CHECK(gate.sides.at(1).macs == std::numeric_limits<std::int64_t>::max());
  CHECK(gate.sides.at(1).weight_bytes == 4);
  CHECK(choice.kind == Decision::Kind::switch_);
  CHECK(choice.aliases.at(0).second == std::vector<std::int64_t>{3});
  CHECK(manifest.telemetry.find("exit")->second == "exit_taken");
}

TEST_CASE("a manifest is read: points, budgets, weights") {
  const Manifest manifest = Manifest::from_json(whole, "net.onnx");
  REQUIRE(manifest.operating_points.size() == 2);
  CHECK(std::get<double>(manifest.operating_points[0].at("threshold")) == 1);
  CHECK(std::get<std::int64_t>(manifest.operating_points[1].at("level")) == 0);
  CHECK(std::get<std::vector<double>>(manifest.operating_points[1].at("threshold")) ==
        std::vector<double>{0.5, -infinity});
  CHECK(manifest.external_data->file == "net.onnx.data");
  CHECK(manifest.external_data->bytes == 8);
  CHECK(manifest.budgets.at(0).lowering.empty());
  CHECK(manifest.budgets.at(1).lowering == "chain");
  CHECK(manifest.budgets.at(1).barriers.at(0).at == "Softmax a");
}

TEST_CASE("what is written is read as the same") {
  const std::string text = Manifest::from_json(whole, "net.onnx").to_json();
  CHECK(Manifest::from_json(text, "net.onnx").to_json() == text);
  CHECK(text.find("later") == std::string::npos);
}

TEST_CASE("fields that are missing or wrong are named") {
  const std::string damaged = "the manifest is damaged: ";
  CHECK(problem_of(replaced(whole, "\"target\"", "\"tarjet\"")) == damaged + "target is missing.");
  CHECK(problem_of(replaced(whole, "\"format\": 1", "\"format\": true")) ==
        damaged + "format is bool, not int.");
  CHECK(problem_of(replaced(whole, "\"macs\": 1,", "\"macs\": -1,")) == damaged + "macs is -1.");
  CHECK(problem_of(replaced(whole, "\"low\": 0", "\"low\": 2")) ==
        damaged + "the default of the knob 'threshold' is out of range.");
  CHECK(problem_of(replaced(whole, "\"twin\", 3", "\"other\\n\", 3")) ==
        damaged + "'exit' is under 'other\\x0a', which is unknown.");
  CHECK(problem_of(replaced(whole, "\"level\": 0", "\"level\": 2")) ==
        damaged + "the value of 'level' at an operating point is 2; the knob has 2 levels.");
  CHECK(problem_of(replaced(whole, "width_taken", "exit_taken")) ==
        damaged + "telemetry reports two decisions by one output.");
}

TEST_CASE("what is no JSON is refused") {
  const std::string damaged = "the manifest is damaged: ";
  for (const char* text : {"", "{", "NaN", "\xEF\xBB\xBF{}", "[\"\xFF\"]", "{}x", "[1e]"}) {
    CHECK(problem_of(text) == damaged + "it is not JSON.");
  }
  CHECK(problem_of(std::string("{}\0", 3)) == damaged + "it is not JSON.");
  CHECK(problem_of("[1e999]") == damaged + "a number is beyond 64 bits.");
  CHECK(problem_of("[9223372036854775808]") == damaged + "a number is beyond 64 bits.");
  CHECK(problem_of(R"({"a": 1, "a": 1})") == damaged + "'a' is there twice.");
  CHECK(problem_of(R"(["\ud800"])") == damaged + "its text is not Unicode.");
}

TEST_CASE("brackets without end do not exhaust the stack") {
  constexpr std::size_t many = 10'000'000;
  const std::string deep = "the manifest is damaged: it is nested too deeply.";
  CHECK(problem_of(std::string(many, '[')) == deep);
  CHECK(problem_of(std::string(many, '[') + std::string(many, ']')) == deep);
  std::string objects;
  for (std::size_t at = 0; at < many / 10; ++at) objects += "{\"a\":";
  CHECK(problem_of(objects) == deep);
}

TEST_CASE("a newer format names both numbers") {
  CHECK(problem_of(R"({"format": 2, "target": "quantum"})") ==
        "written by a newer dyncompile (format 2); this one reads up to 1.");
}

TEST_CASE("what cannot be written as JSON is refused") {
  Manifest manifest = Manifest::from_json(whole, "net.onnx");
  manifest.precision = "\xFF";
  CHECK_THROWS_AS(manifest.to_json(), InputError);
  manifest.precision = "float32";
  manifest.operating_points[0]["threshold"] = std::nan("");
  CHECK_THROWS_AS(manifest.to_json(), InputError);
}

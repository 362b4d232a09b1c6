#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "dyncompile/errors.hpp"
#include "engine_file.hpp"
#include "sha256.hpp"

using dyncompile::ArtifactError;
using dyncompile::detail::EngineDescription;
using dyncompile::detail::read_description;
using dyncompile::detail::read_plan;

namespace {

namespace fs = std::filesystem;

const std::string plan = "ptrt and so on";

std::string description() {
  return R"({"format": 1, "flavor": "tensorrt-rtx", "version": "1.7", "chips": ["sm89"],
 "precision": "float16", "later": 1,
 "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 3], "location": "device"},
            {"name": "level", "dtype": "int64", "shape": [], "location": "host"}],
 "outputs": [{"name": "y", "dtype": "bfloat16", "shape": [10], "location": "device"}],
 "bytes": 14, "sha256": ")" +
         dyncompile::detail::sha256_of(plan.data(), plan.size()) + R"(",
 "manifest": {"format": 1, "target": "tensorrt", "precision": "float16", "decisions": [],
   "knobs": {"level": {"kind": "levels", "values": [1, 2], "default": 0}},
   "operating_points": [{"level": 1}]}})";
}

/// A folder that is gone at the end, with an engine in it; its name is not ASCII.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / fs::u8path("größe-" + number())) {
    fs::create_directory(path_);
    write(engine(), plan);
    write(described(), description());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  fs::path engine() const { return path_ / "net.engine"; }
  fs::path described() const { return path_ / "net.engine.json"; }

  static void write(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }

 private:
  static std::string number() { return std::to_string(std::random_device{}()); }

  fs::path path_;
};

std::string problem_of(const fs::path& path) {
  try {
    read_plan(path, read_description(path));
  } catch (const ArtifactError& error) {
    return error.problem();
  }
  return "";
}

std::string problem_of(const std::string& part, const std::string& by) {
  std::string text = description();
  const std::size_t at = text.find(part);
  REQUIRE(at != std::string::npos);
  try {
    EngineDescription::from_json(text.replace(at, part.size(), by), "net.engine.json");
  } catch (const ArtifactError& error) {
    return error.problem();
  }
  return "";
}

}  // namespace

TEST_CASE("an engine and its description are read") {
  const Folder folder;
  const EngineDescription engine = read_description(folder.engine());
  CHECK(engine.flavor == "tensorrt-rtx");
  CHECK(std::string(dyncompile::detail::title(engine.flavor)) == "TensorRT for RTX");
  CHECK(engine.chips == std::vector<std::string>{"sm89"});
  CHECK(engine.inputs.at(0).shape == std::vector<std::int64_t>{-1, 3});
  CHECK(!engine.inputs.at(0).on_host);
  CHECK(engine.inputs.at(1).on_host);
  CHECK(engine.outputs.at(0).dtype == "bfloat16");
  CHECK(engine.manifest.knobs.at(0).name == "level");
  const std::vector<char> bytes = read_plan(folder.engine(), engine);
  CHECK(std::string(bytes.begin(), bytes.end()) == plan);
  const std::string text = engine.to_json();
  CHECK(EngineDescription::from_json(text, "again").to_json() == text);
}

TEST_CASE("what is wrong with a description is named") {
  const std::string damaged = "the description of the engine is damaged: ";
  CHECK(problem_of("\"chips\"", "\"ships\"") == damaged + "chips is missing.");
  CHECK(problem_of("-1, 3", "-2, 3") == damaged + "the shape of 'x' is [-2, 3].");
  CHECK(problem_of("\"host\"", "\"disk\"") ==
        damaged + "the location of 'level' is 'disk', not device or host.");
  CHECK(problem_of("\"y\"", "\"x\"") == damaged + "two inputs or outputs have one name.");
  CHECK(problem_of("\"name\": \"level\"", "\"name\": \"z\"") ==
        damaged + "the knob 'level' is no input.");
  CHECK(problem_of("\"target\"", "\"t\"") == "the manifest is damaged: target is missing.");
  CHECK(problem_of("\"format\": 1", "\"format\": 3") ==
        "written by a newer dyncompile (format 3); this one reads up to 1.");
}

TEST_CASE("files that do not belong together are refused") {
  const Folder folder;
  Folder::write(folder.engine(), plan + "!");
  CHECK(problem_of(folder.engine()) == "it has 15 bytes; its description is of an engine of 14.");
  Folder::write(folder.engine(), std::string(plan.size(), '!'));
  CHECK(problem_of(folder.engine()) ==
        "it is not the engine that its description is of: the digests differ.");
}

TEST_CASE("files that are missing are named") {
  const Folder folder;
  fs::remove(folder.described());
  CHECK(problem_of(folder.engine()) == "its description 'net.engine.json' is missing.");
  fs::remove(folder.engine());
  CHECK(problem_of(folder.engine()) == "cannot be read: No such file or directory.");
}

#include "engine_file.hpp"

#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "dyncompile/errors.hpp"
#include "files.hpp"
#include "json.hpp"
#include "manifest_entry.hpp"
#include "sha256.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

constexpr const char* keep_together = "Keep the two files together, or build the engine again.";

Binding binding_from_entry(const Json& entry) {
  want_object(entry, "an input or output");
  Binding binding;
  binding.name = want_string(field(entry, "name"), "the name of an input or output");
  const std::string what = in_quotes(binding.name);
  bool is_shape = true;
  for (const Json& size : want_list(field(entry, "shape"), "the shape of " + what)) {
    binding.shape.push_back(want_whole(size, "a size of " + what));
    is_shape = is_shape && binding.shape.back() >= -1;
  }
  if (!is_shape) throw BadJson("the shape of " + what + " is " + listed(binding.shape));
  binding.on_host = want_one_of({"device", "host"}, field(entry, "location"),
                                "the location of " + what) == "host";
  binding.dtype = want_string(field(entry, "dtype"), "the dtype of " + what);
  return binding;
}

std::vector<Binding> bindings_from_entry(const Json& entry, const char* name) {
  std::vector<Binding> bindings;
  for (const Json& binding : want_list(field(entry, name), name)) {
    bindings.push_back(binding_from_entry(binding));
  }
  return bindings;
}

Json entry_from_bindings(const std::vector<Binding>& bindings) {
  Json entry = Json::array();
  for (const Binding& binding : bindings) {
    entry.push_back({{"name", binding.name},
                     {"dtype", binding.dtype},
                     {"shape", binding.shape},
                     {"location", binding.on_host ? "host" : "device"}});
  }
  return entry;
}

/// Names are unique, and every knob is an input.
void check_names(const EngineDescription& engine) {
  std::set<std::string_view> inputs, outputs;
  for (const Binding& input : engine.inputs) inputs.insert(input.name);
  outputs = inputs;
  for (const Binding& output : engine.outputs) outputs.insert(output.name);
  if (outputs.size() != engine.inputs.size() + engine.outputs.size()) {
    throw BadJson("two inputs or outputs have one name");
  }
  for (const Knob& knob : engine.manifest.knobs) {
    if (!inputs.count(knob.name))
      throw BadJson("the knob " + in_quotes(knob.name) + " is no input");
  }
}

EngineDescription engine_from_fields(const Json& entry, const std::string& where) {
  EngineDescription engine;
  engine.bytes = want_count(field(entry, "bytes"), "bytes");
  engine.sha256 = want_digest(field(entry, "sha256"));
  if (engine.bytes == 0) throw BadJson("bytes is 0");
  const Json& manifest = want_object(field(entry, "manifest"), "manifest");
  engine.flavor = want_one_of({"tensorrt", "tensorrt-rtx"}, field(entry, "flavor"), "flavor");
  engine.version = want_string(field(entry, "version"), "version");
  for (const Json& chip : want_list(field(entry, "chips"), "chips")) {
    engine.chips.push_back(want_string(chip, "a chip"));
  }
  engine.precision = want_string(field(entry, "precision"), "precision");
  engine.inputs = bindings_from_entry(entry, "inputs");
  engine.outputs = bindings_from_entry(entry, "outputs");
  engine.manifest = manifest_from_entry(manifest, where);
  check_names(engine);
  return engine;
}

std::uintmax_t size_of_file(const std::filesystem::path& path) {
  check_readable(path);
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  if (failed) throw unreadable(path, failed);
  return size;
}

template <class Bytes>
Bytes read_bytes(const std::filesystem::path& path) {
  Bytes bytes(static_cast<std::size_t>(size_of_file(path)), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file.bad()) throw unreadable(path, std::make_error_code(std::errc::io_error));
  bytes.resize(static_cast<std::size_t>(file.gcount()));  // it may be shorter by now
  return bytes;
}

}  // namespace

EngineDescription EngineDescription::from_json(std::string_view text, const std::string& where) {
  try {
    const Json entry = parse_json(text);
    check_format(want_object(entry, "the description"), format, where);
    return engine_from_fields(entry, where);
  } catch (const BadJson& bad) {
    throw ArtifactError(
        std::string("the description of the engine is damaged: ") + bad.what() + ".", where,
        "Build the engine again.");
  }
}

std::string EngineDescription::to_json() const {
  const Json entry = {{"format", format},
                      {"flavor", flavor},
                      {"version", version},
                      {"chips", chips},
                      {"precision", precision},
                      {"inputs", entry_from_bindings(inputs)},
                      {"outputs", entry_from_bindings(outputs)},
                      {"bytes", bytes},
                      {"sha256", sha256},
                      {"manifest", entry_from_manifest(manifest)}};
  return dump_json(entry, 1, "the description of an engine") + "\n";
}

const char* title(const std::string& flavor) {
  return flavor == "tensorrt" ? "TensorRT" : "TensorRT for RTX";
}

EngineDescription read_description(const std::filesystem::path& path) {
  check_readable(path);
  std::filesystem::path partner = path;
  partner += ".json";
  std::error_code ignored;
  if (!std::filesystem::exists(partner, ignored)) {
    throw ArtifactError(
        "its description " + in_quotes(partner.filename().u8string()) + " is missing.",
        path.u8string(), keep_together);
  }
  return EngineDescription::from_json(read_bytes<std::string>(partner), partner.u8string());
}

std::vector<char> read_plan(const std::filesystem::path& path, const EngineDescription& engine) {
  const std::uintmax_t size = size_of_file(path);
  if (size != static_cast<std::uintmax_t>(engine.bytes)) {
    throw ArtifactError("it has " + std::to_string(size) +
                            " bytes; its description is of an engine of " +
                            std::to_string(engine.bytes) + ".",
                        path.u8string(), keep_together);
  }
  std::vector<char> plan = read_bytes<std::vector<char>>(path);
  if (sha256_of(plan.data(), plan.size()) != engine.sha256) {
    throw ArtifactError("it is not the engine that its description is of: the digests differ.",
                        path.u8string(), keep_together);
  }
  return plan;
}

}  // namespace dyncompile::detail

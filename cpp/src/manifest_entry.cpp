#include "manifest_entry.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "knob_entries.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

using Pair = std::pair<std::string, const Json*>;

std::vector<Pair> pairs_from_entry(const Json& entry, const std::string& what) {
  std::vector<Pair> pairs;
  for (const Json& pair : want_list(entry, what)) {
    if (want_list(pair, what).size() != 2) throw BadJson(what + " is not a list of pairs");
    pairs.emplace_back(want_string(pair[0], what), &pair[1]);
  }
  return pairs;
}

std::vector<Side> sides_from_entry(const Json& entry, const std::string& what) {
  std::vector<Side> sides;
  for (const Json& side : want_list(entry, "the sides of " + what)) {
    want_object(side, "a side");
    const std::int64_t macs = want_count(field(side, "macs"), "macs");
    sides.push_back({macs, want_count(field(side, "weight_bytes"), "weight_bytes")});
  }
  return sides;
}

void read_aliases(const Json& entry, const std::string& what, Decision* decision) {
  const auto found = entry.find("aliases");
  if (found == entry.end()) return;
  bool is_matching = true;
  for (const auto& [other, list] : pairs_from_entry(*found, "the aliases of " + what)) {
    std::vector<std::int64_t> options;
    for (const Json& option : want_list(*list, in_quotes(other))) {
      options.push_back(want_count(option, "an option of " + in_quotes(other)));
    }
    is_matching = is_matching && options.size() == decision->sides.size();
    decision->aliases.emplace_back(other, std::move(options));
  }
  if (!is_matching) throw BadJson("the aliases of " + what + " do not match its sides");
}

Decision decision_from_entry(const Json& entry) {
  want_object(entry, "a decision");
  Decision decision;
  decision.name = want_string(field(entry, "name"), "the name of a decision");
  const std::string what = in_quotes(decision.name);
  const std::string& kind = want_one_of({"gate", "switch"}, field(entry, "kind"), what);
  decision.kind = kind == "gate" ? Decision::Kind::gate : Decision::Kind::switch_;
  decision.sides = sides_from_entry(field(entry, "sides"), what);
  const std::size_t count = decision.sides.size();
  if (count == 0 || (decision.kind == Decision::Kind::gate && count != 2)) {
    throw BadJson(kind + " " + what + " has " + std::to_string(count) + " sides");
  }
  const std::vector<Pair> under = pairs_from_entry(field(entry, "under"), "under of " + what);
  read_aliases(entry, what, &decision);
  for (const Json& value : want_list(field(entry, "values"), "the values of " + what)) {
    decision.values.push_back(want_string(value, "a value of " + what));
  }
  for (const auto& [outer, option] : under) {
    decision.under.emplace_back(outer, want_count(*option, "under of " + what));
  }
  return decision;
}

/// `knobs` are sorted by name.
OperatingPoint point_from_entry(const Json& entry, const std::vector<Knob>& knobs) {
  OperatingPoint point;
  for (const auto& [name, value] : want_object(entry, "an operating point").items()) {
    const auto found = std::lower_bound(
        knobs.begin(), knobs.end(), name,
        [](const Knob& knob, const std::string& wanted) { return knob.name < wanted; });
    if (found == knobs.end() || found->name != name) {
      throw BadJson("an operating point names " + in_quotes(name) + ", which is not a knob");
    }
    point.emplace(name, value_from_entry(*found, value));
  }
  return point;
}

ExternalData external_data_from_entry(const Json& entry) {
  want_object(entry, "external_data");
  ExternalData data;
  data.file = want_string(field(entry, "file"), "external_data");
  const bool leads_elsewhere =
      data.file.find_first_of(std::string_view("/\\\0:", 4)) != std::string::npos;
  if (data.file.empty() || data.file == "." || data.file == ".." || leads_elsewhere) {
    throw BadJson("external_data names " + in_quotes(data.file) +
                  ", which is no file of the same folder");
  }
  data.bytes = want_count(field(entry, "bytes"), "bytes");
  data.sha256 = want_digest(field(entry, "sha256"));
  return data;
}

Budgets budgets_from_entry(const Json& entry) {
  want_object(entry, "an entry of budgets");
  Budgets budgets;
  budgets.decision = want_string(field(entry, "decision"), "the decision of budgets");
  const std::string what = "the budgets on " + in_quotes(budgets.decision);
  budgets.levels = want_count(field(entry, "levels"), "the number of levels of " + what);
  if (budgets.levels == 0) throw BadJson(what + " have no level");
  const auto lowering = entry.find("lowering");
  if (lowering == entry.end()) return budgets;
  const Json& barriers = want_list(field(entry, "barriers"), "the barriers of " + what);
  budgets.lowering =
      want_one_of({"switch", "slice", "chain"}, *lowering, "the lowering of " + what);
  budgets.why = want_string(field(entry, "why"), "why of " + what);
  for (const Json& barrier : barriers) {
    want_object(barrier, "a barrier of " + what);
    std::string at = want_string(field(barrier, "at"), "where a barrier of " + what + " is");
    budgets.barriers.push_back(
        {std::move(at),
         want_string(field(barrier, "why"), "why a barrier of " + what + " is one")});
  }
  return budgets;
}

/// Reports are of all decisions or of none, by their own names, each by its own output.
void check_telemetry(const Manifest& manifest) {
  if (manifest.telemetry.empty()) return;
  std::set<std::string_view> names, outputs;
  for (const Decision& decision : manifest.decisions) names.insert(decision.name);
  for (const auto& [name, output] : manifest.telemetry) {
    if (!names.count(name)) {
      throw BadJson("telemetry reports " + in_quotes(name) + ", which is not a decision");
    }
    outputs.insert(output);
  }
  for (const Decision& decision : manifest.decisions) {
    if (!manifest.telemetry.count(decision.name)) {
      throw BadJson("telemetry does not report the decision " + in_quotes(decision.name));
    }
  }
  if (outputs.size() != manifest.telemetry.size()) {
    throw BadJson("telemetry reports two decisions by one output");
  }
}

/// Names are unique, and whatever is referred to is there.
void check_names(const Manifest& manifest) {
  std::set<std::string_view> known;
  std::size_t count = 0;
  for (const Decision& decision : manifest.decisions) {
    known.insert(decision.name);
    for (const auto& [other, options] : decision.aliases) known.insert(other);
    count += 1 + decision.aliases.size();
  }
  if (known.size() != count) throw BadJson("two decisions have one name");
  for (const Decision& decision : manifest.decisions) {
    for (const auto& [outer, option] : decision.under) {
      if (!known.count(outer)) {
        throw BadJson(in_quotes(decision.name) + " is under " + in_quotes(outer) +
                      ", which is unknown");
      }
    }
  }
  check_telemetry(manifest);
}

Manifest manifest_from_fields(const Json& entry) {
  Manifest manifest;
  const Json none = Json::array();
  const Json& points = want_list(field(entry, "operating_points"), "operating_points");
  const auto given = entry.find("budgets");
  const Json& budgets = want_list(given == entry.end() ? none : *given, "budgets");
  for (const auto& [name, knob] : want_object(field(entry, "knobs"), "knobs").items()) {
    manifest.knobs.push_back(knob_from_entry(name, knob));
  }
  manifest.target = want_one_of({"onnx", "marked", "tensorrt"}, field(entry, "target"), "target");
  for (const Json& decision : want_list(field(entry, "decisions"), "decisions")) {
    manifest.decisions.push_back(decision_from_entry(decision));
  }
  for (const Json& point : points) {
    manifest.operating_points.push_back(point_from_entry(point, manifest.knobs));
  }
  manifest.precision = want_string(field(entry, "precision"), "precision");
  if (const auto external = entry.find("external_data"); external != entry.end()) {
    manifest.external_data = external_data_from_entry(*external);
  }
  for (const Json& budget : budgets) manifest.budgets.push_back(budgets_from_entry(budget));
  if (const auto telemetry = entry.find("telemetry"); telemetry != entry.end()) {
    for (const auto& [name, output] : want_object(*telemetry, "telemetry").items()) {
      manifest.telemetry.emplace(name,
                                 want_string(output, "the output that reports " + in_quotes(name)));
    }
  }
  check_names(manifest);
  return manifest;
}

}  // namespace

void check_format(const Json& object, std::int64_t known, const std::string& where) {
  const std::int64_t format = want_count(field(object, "format"), "format");
  if (format == 0) throw BadJson("format is 0");
  if (format > known) {
    throw ArtifactError("written by a newer dyncompile (format " + std::to_string(format) +
                            "); this one reads up to " + std::to_string(known) + ".",
                        where, "Upgrade dyncompile.");
  }
}

Manifest manifest_from_entry(const Json& entry, const std::string& where) {
  try {
    check_format(want_object(entry, "the manifest"), Manifest::format, where);
    return manifest_from_fields(entry);
  } catch (const BadJson& bad) {
    throw ArtifactError(std::string("the manifest is damaged: ") + bad.what() + ".", where,
                        "Export the network again.");
  }
}

}  // namespace dyncompile::detail

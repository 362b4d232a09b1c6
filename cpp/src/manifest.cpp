#include "dyncompile/manifest.hpp"

#include <utility>

#include "knob_entries.hpp"
#include "manifest_entry.hpp"

namespace dyncompile {

namespace detail {

namespace {

Json entry_from_decision(const Decision& decision) {
  Json sides = Json::array(), under = Json::array();
  for (const Side& side : decision.sides) {
    sides.push_back({{"macs", side.macs}, {"weight_bytes", side.weight_bytes}});
  }
  for (const auto& [outer, option] : decision.under) under.push_back(Json::array({outer, option}));
  Json entry = {{"name", decision.name},
                {"kind", decision.kind == Decision::Kind::gate ? "gate" : "switch"},
                {"values", decision.values},
                {"under", std::move(under)},
                {"sides", std::move(sides)}};
  if (!decision.aliases.empty()) {
    Json& aliases = entry["aliases"] = Json::array();
    for (const auto& [other, options] : decision.aliases) {
      aliases.push_back(Json::array({other, options}));
    }
  }
  return entry;
}

Json entry_from_budgets(const Budgets& budgets) {
  Json entry = {{"decision", budgets.decision}, {"levels", budgets.levels}};
  if (budgets.lowering.empty()) return entry;
  entry["lowering"] = budgets.lowering;
  entry["why"] = budgets.why;
  Json& barriers = entry["barriers"] = Json::array();
  for (const Budgets::Barrier& barrier : budgets.barriers) {
    barriers.push_back({{"at", barrier.at}, {"why", barrier.why}});
  }
  return entry;
}

/// What a manifest may be without.
void add_optional(const Manifest& manifest, Json* entry) {
  if (const auto& data = manifest.external_data) {
    (*entry)["external_data"] = {
        {"file", data->file}, {"bytes", data->bytes}, {"sha256", data->sha256}};
  }
  if (!manifest.telemetry.empty()) (*entry)["telemetry"] = manifest.telemetry;
  if (manifest.budgets.empty()) return;
  Json& budgets = (*entry)["budgets"] = Json::array();
  for (const Budgets& one : manifest.budgets) budgets.push_back(entry_from_budgets(one));
}

}  // namespace

Json entry_from_manifest(const Manifest& manifest) {
  Json knobs = Json::object(), decisions = Json::array(), points = Json::array();
  for (const Knob& knob : manifest.knobs) knobs[knob.name] = entry_from_knob(knob);
  for (const Decision& one : manifest.decisions) decisions.push_back(entry_from_decision(one));
  for (const OperatingPoint& one : manifest.operating_points)
    points.push_back(entry_from_point(one));
  Json entry = {{"format", Manifest::format},        {"target", manifest.target},
                {"precision", manifest.precision},   {"knobs", std::move(knobs)},
                {"decisions", std::move(decisions)}, {"operating_points", std::move(points)}};
  add_optional(manifest, &entry);
  return entry;
}

}  // namespace detail

Manifest Manifest::from_json(std::string_view text, const std::string& where) {
  detail::Json entry;
  try {
    entry = detail::parse_json(text);
  } catch (const detail::BadJson& bad) {
    throw ArtifactError(std::string("the manifest is damaged: ") + bad.what() + ".", where,
                        "Export the network again.");
  }
  return detail::manifest_from_entry(entry, where);
}

std::string Manifest::to_json() const {
  return detail::dump_json(detail::entry_from_manifest(*this), -1, "a manifest");
}

}  // namespace dyncompile

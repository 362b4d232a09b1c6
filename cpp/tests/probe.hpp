// What Python drives the library with: one JSON request a line, one JSON answer a line.
//
// A request is {"command": "<what>", ...}, an answer {"ok": ...} or {"error": {"kind", "problem",
// "where", "remedy"}}. Each command is a function in its own file, probe_<what>.cpp.
#ifndef DYNCOMPILE_TESTS_PROBE_HPP
#define DYNCOMPILE_TESTS_PROBE_HPP

#include <nlohmann/json.hpp>
#include <string>

/// Reads a manifest: "text" in hexadecimal, "where"; returns the same, written, as text.
nlohmann::json probe_manifest(const nlohmann::json& request);

/// Reads the description of an engine: "text" in hexadecimal, "where", or a "path"; with "plan",
/// reads the plan at "path" too, and returns its size. Returns the description, written, as text.
nlohmann::json probe_engine(const nlohmann::json& request);

/// The sha256 of "data" in hexadecimal.
nlohmann::json probe_digest(const nlohmann::json& request);

/// Loads the artifact at "path", with "options" of Net::load, once; returns what it is. With
/// "inputs" (and "knobs", "buffers", "trace" or "within"), runs it and returns its outputs; with
/// "calibrate", seconds, the calibration.
nlohmann::json probe_run(const nlohmann::json& request);

/// Sums up "ms"; or reads a calibration, "text" in hexadecimal, merges the "newer" into it, and
/// returns it, written, with the number of the latency at each of "points".
nlohmann::json probe_calibration(const nlohmann::json& request);

/// Makes a governor of a "manifest", a "calibration" and options, and plays the calls of "events":
/// each begins or ends one. Returns what was picked.
nlohmann::json probe_governor(const nlohmann::json& request);

/// The bytes that pairs of hexadecimal digits stand for: texts may be anything, JSON may not.
std::string bytes_from_hex(const std::string& digits);

#endif

#include "results.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "dyncompile/errors.hpp"
#include "fitting.hpp"
#include "text.hpp"

namespace dyncompile::detail {

namespace {

std::size_t report_of(const std::vector<Port>& ports, const std::string& decision,
                      const std::string& output, const std::string& where) {
  const auto found = std::find_if(ports.begin(), ports.end(),
                                  [&](const Port& port) { return port.name == output; });
  const bool is_there = found != ports.end();
  if (is_there && found->type == ElementType::int64 && found->sizes.empty()) {
    return static_cast<std::size_t>(found - ports.begin());
  }
  throw ArtifactError("the manifest has the output " + in_quotes(output) + " report " +
                          in_quotes(decision) + " as int64[]; the graph has " +
                          (is_there ? "it as " + found->to_string() : "no such output") + ".",
                      where, "Export the network again.");
}

}  // namespace

Results::Results(const std::vector<Port>& ports, const Manifest& manifest,
                 const std::string& where) {
  std::vector<std::size_t> reports;
  for (const Decision& decision : manifest.decisions) {
    const auto report = manifest.telemetry.find(decision.name);
    if (report == manifest.telemetry.end()) continue;
    reports.push_back(report_of(ports, decision.name, report->second, where));
    reported_.push_back(&decision);
  }
  std::vector<Port> plain;
  for (std::size_t number = 0; number < ports.size(); ++number) {
    if (std::find(reports.begin(), reports.end(), number) != reports.end()) continue;
    numbers_.push_back(number);
    plain.push_back(ports[number]);
  }
  ports_ = std::make_shared<const std::vector<Port>>(std::move(plain));
  with_reports_ = numbers_;
  with_reports_.insert(with_reports_.end(), reports.begin(), reports.end());
}

std::size_t Results::number_for(const Buffer& buffer) const {
  for (std::size_t place = 0; place < ports_->size(); ++place) {
    const Port& port = (*ports_)[place];
    if (port.name != buffer.output) continue;
    check_fit(port, "output", buffer.view, port.sizes.empty());  // it may be of unknown rank
    return numbers_[place];
  }
  throw InputError("the network has no such output.", "output " + in_quotes(buffer.output),
                   "Its outputs are " + names_of(*ports_) + ".");
}

Path Results::path_from(std::vector<Tensor>& tensors) const {
  Path path;
  for (std::size_t report = 0; report < reported_.size(); ++report) {
    const Decision& decision = *reported_[report];
    const std::int64_t option = *tensors[numbers_.size() + report].data<std::int64_t>();
    path[decision.name] = option;
    for (const auto& [alias, options] : decision.aliases) {
      const bool is_known = option >= 0 && static_cast<std::size_t>(option) < options.size();
      path[alias] = is_known ? options[static_cast<std::size_t>(option)] : option;
    }
  }
  tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(numbers_.size()), tensors.end());
  return path;
}

}  // namespace dyncompile::detail

// Which outputs a call wants, and what reports of decisions say.
#ifndef DYNCOMPILE_SRC_RESULTS_HPP
#define DYNCOMPILE_SRC_RESULTS_HPP

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dyncompile/lists.hpp"
#include "dyncompile/manifest.hpp"
#include "dyncompile/outputs.hpp"

namespace dyncompile::detail {

/// The outputs of one artifact: those of the network, and reports of its decisions.
class Results {
 public:
  /// `ports` are the outputs of the graph. Throws ArtifactError if it lacks a report that the
  /// manifest tells of; `where` is the file.
  Results(const std::vector<Port>& ports, const Manifest& manifest, const std::string& where);

  /// The outputs of the network, in order.
  const std::shared_ptr<const std::vector<Port>>& ports() const noexcept { return ports_; }

  /// Their numbers among the outputs of the graph.
  const std::vector<std::size_t>& numbers() const noexcept { return numbers_; }

  /// The same, and then the numbers of the reports.
  const std::vector<std::size_t>& numbers_with_reports() const noexcept { return with_reports_; }

  /// The number of an output among those of the graph; the buffer fits it, as far as is known.
  /// Throws InputError if there is none of this name, or the buffer does not fit.
  std::size_t number_for(const Buffer& buffer) const;

  /// The path, by outputs as of `numbers_with_reports`, from which reports are taken away.
  Path path_from(std::vector<Tensor>& tensors) const;

 private:
  std::shared_ptr<const std::vector<Port>> ports_;
  std::vector<std::size_t> numbers_, with_reports_;
  std::vector<const Decision*> reported_;  ///< As in `with_reports_`.
};

}  // namespace dyncompile::detail

#endif

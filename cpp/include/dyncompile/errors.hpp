// Every error dyncompile throws on purpose.
//
// Error                    a problem the user can act on
// |- KnobError             a knob is unknown, or its value out of range
// |- InputError            an input or an option of a call does not fit
// |- ArtifactError         a file is missing, damaged, foreign, or of a newer version
// `- TargetError           a library, a provider or a GPU is missing, too old, or fails
#ifndef DYNCOMPILE_ERRORS_HPP
#define DYNCOMPILE_ERRORS_HPP

#include <memory>
#include <stdexcept>
#include <string>

namespace dyncompile {

/// A problem the user can act on: what happened, where, and what to do; `what()` is all three.
class Error : public std::runtime_error {
 public:
  Error(const std::string& problem, const std::string& where, const std::string& remedy)
      : std::runtime_error(where + ": " + problem + " " + remedy),
        parts_(std::make_shared<const Parts>(Parts{problem, where, remedy})) {}

  /// One sentence, in the user's terms.
  const std::string& problem() const noexcept { return parts_->problem; }
  /// The file, input, knob or option concerned.
  const std::string& where() const noexcept { return parts_->where; }
  /// What to change so that it does not happen again.
  const std::string& remedy() const noexcept { return parts_->remedy; }

 private:
  struct Parts {
    std::string problem, where, remedy;
  };
  std::shared_ptr<const Parts> parts_;  // copies of an exception must not throw
};

/// A knob is unknown, or its value out of range.
class KnobError : public Error {
 public:
  using Error::Error;
};

/// An input or an option of a call does not fit.
class InputError : public Error {
 public:
  using Error::Error;
};

/// A file is missing, damaged, foreign, or written by a newer version.
class ArtifactError : public Error {
 public:
  using Error::Error;
};

/// A library, a provider or a GPU is missing, too old, or fails.
class TargetError : public Error {
 public:
  using Error::Error;
};

}  // namespace dyncompile

#endif

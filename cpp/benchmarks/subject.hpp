// The same artifact, loaded by dyncompile and bare.
#ifndef DYNCOMPILE_BENCHMARKS_SUBJECT_HPP
#define DYNCOMPILE_BENCHMARKS_SUBJECT_HPP

#include <memory>
#include <string>
#include <vector>

#include "bare.hpp"
#include "ours.hpp"

/// Both, each in a session of its own; calls are at the same value of the knob.
class Subject {
 public:
  /// `first` is "bare" or "ours": which is loaded first, as sessions of one file differ a little
  /// by where they lie in memory.
  Subject(const char* path, const std::string& first) {
    if (first == "bare") bare_ = opened(path, Ours(path));
    ours_ = std::make_unique<Ours>(path);
    if (!bare_) bare_ = opened(path, *ours_);
  }

  const Ours& ours() const { return *ours_; }

  void run_bare(std::vector<float>& scores) const {
    bare_->run(ours_->x(), ours_->level(), ours_->threshold(), scores, ours_->output().sizes);
  }

  void run_ours(std::vector<float>& scores) const { ours_->run_into(scores); }

 private:
  static std::unique_ptr<Bare> opened(const char* path, const Ours& ours) {
    const bool is_level = ours.knob().levels() != nullptr;
    return std::make_unique<Bare>(path, ours.input().name, ours.input().sizes, ours.knob().name,
                                  is_level, ours.output().name);
  }

  std::unique_ptr<Ours> ours_;
  std::unique_ptr<Bare> bare_;
};

#endif

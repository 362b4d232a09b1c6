// Files: whether they can be read, and which ones they are.
#ifndef DYNCOMPILE_SRC_FILES_HPP
#define DYNCOMPILE_SRC_FILES_HPP

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <system_error>

#include "dyncompile/errors.hpp"

namespace dyncompile::detail {

/// The error for a file that cannot be read.
ArtifactError unreadable(const std::filesystem::path& path, const std::error_code& why);

/// Throws ArtifactError if it cannot be read.
void check_readable(const std::filesystem::path& path);

/// A file as it was when this was made.
class LoadedFile {
 public:
  /// Throws ArtifactError if it cannot be read.
  explicit LoadedFile(std::filesystem::path path);

  const std::filesystem::path& path() const noexcept { return path_; }

  /// Its SHA-256, in hexadecimal, read once. Throws ArtifactError if it cannot be read, or has
  /// changed.
  const std::string& digest() const;

 private:
  std::string read_digest() const;

  std::filesystem::path path_;
  std::uintmax_t bytes_;
  std::filesystem::file_time_type time_;
  mutable std::once_flag is_read_;
  mutable std::string digest_;
};

}  // namespace dyncompile::detail

#endif

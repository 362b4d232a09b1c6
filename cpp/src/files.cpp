#include "files.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

#include "sha256.hpp"

namespace dyncompile::detail {

ArtifactError unreadable(const std::filesystem::path& path, const std::error_code& why) {
  return {"cannot be read: " + why.message() + ".", path.u8string(), "Check the name of the file."};
}

namespace {

std::ifstream opened(const std::filesystem::path& path) {
  std::error_code failed;
  if (std::filesystem::is_directory(path, failed)) {
    throw unreadable(path, std::make_error_code(std::errc::is_a_directory));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw unreadable(path, {errno ? errno : ENOENT, std::generic_category()});
  return file;
}

}  // namespace

void check_readable(const std::filesystem::path& path) { opened(path); }

LoadedFile::LoadedFile(std::filesystem::path path) : path_(std::move(path)) {
  check_readable(path_);
  std::error_code failed;
  bytes_ = std::filesystem::file_size(path_, failed);
  if (!failed) time_ = std::filesystem::last_write_time(path_, failed);
  if (failed) throw unreadable(path_, failed);
}

const std::string& LoadedFile::digest() const {
  std::call_once(is_read_, [&] { digest_ = read_digest(); });
  return digest_;
}

std::string LoadedFile::read_digest() const {
  std::ifstream file = opened(path_);
  Sha256 sum;
  std::array<char, 1 << 16> piece;
  while (file.read(piece.data(), piece.size()) || file.gcount()) {
    sum.add(piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(path_, failed);
  if (failed || bytes != bytes_ || std::filesystem::last_write_time(path_, failed) != time_) {
    throw ArtifactError("the file has changed since it was loaded.", path_.u8string(),
                        "Load it again.");
  }
  return sum.digest();
}

}  // namespace dyncompile::detail

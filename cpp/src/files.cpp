#include "files.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "dyncompile/errors.hpp"

namespace dyncompile::detail {

void check_readable(const std::filesystem::path& path) {
  std::error_code failed;
  const bool is_folder = std::filesystem::is_directory(path, failed);
  errno = 0;
  if (is_folder) {
    failed = std::make_error_code(std::errc::is_a_directory);
  } else if (!std::ifstream(path, std::ios::binary)) {
    failed = std::error_code(errno ? errno : ENOENT, std::generic_category());
  } else {
    return;
  }
  throw ArtifactError("cannot be read: " + failed.message() + ".", path.u8string(),
                      "Check the name of the file.");
}

}  // namespace dyncompile::detail

// Grey images: PGM files, as `convert digit.png digit.pgm` writes them.
#ifndef EXAMPLES_PGM_HPP
#define EXAMPLES_PGM_HPP

#include <cstdint>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

struct Image {
  std::int64_t height = 0, width = 0;
  std::vector<float> pixels;  ///< Row by row, 0 to 1.
};

namespace pgm_detail {

/// The next number of the header; comments are skipped.
inline int number(std::istream& file) {
  file >> std::ws;
  while (file.peek() == '#') {
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    file >> std::ws;
  }
  int value = -1;
  file >> value;
  return file ? value : -1;
}

}  // namespace pgm_detail

/// Reads a binary PGM file of 8 bits. Throws std::runtime_error if it is something else.
inline Image read_pgm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read. Check the name of the file.");
  char magic[2] = {};
  file.read(magic, 2);
  const int width = pgm_detail::number(file), height = pgm_detail::number(file);
  const int white = pgm_detail::number(file);
  constexpr int most = 1 << 14;
  const bool is_pgm = magic[0] == 'P' && magic[1] == '5' && width > 0 && width <= most &&
                      height > 0 && height <= most && white > 0 && white < 256;
  if (!is_pgm) throw std::runtime_error(path + ": no PGM image of 8 bits (P5). Convert it.");
  file.get();  // one space ends the header
  std::string bytes(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    throw std::runtime_error(path + ": the image is cut short. Copy it again.");
  }
  Image image{height, width, {}};
  for (const char byte : bytes) {
    image.pixels.push_back(static_cast<float>(static_cast<unsigned char>(byte)) /
                           static_cast<float>(white));
  }
  return image;
}

#endif

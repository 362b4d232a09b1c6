// Classify a stream of images, each in time: deadline NET IMAGE... --ms TIME [--seconds 6]
//
// In the middle third of the time, threads keep every core busy. The governor lowers the budget
// as soon as calls take too long, and raises it again when there is room.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <dyncompile/dyncompile.hpp>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "pgm.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Arguments {
  std::string net;
  std::vector<std::string> images;
  double ms = 0, seconds = 6;
};

double number(const std::string& option, const std::string& text) {
  try {
    return std::stod(text);
  } catch (const std::exception&) {
    throw std::runtime_error(option + ": " + text + " is not a number.");
  }
}

Arguments parse(const std::vector<std::string>& words) {
  Arguments found;
  for (std::size_t at = 0; at < words.size(); ++at) {
    const bool has_value = at + 1 < words.size();
    if (words[at] == "--ms" && has_value) {
      found.ms = number("--ms", words[++at]);
    } else if (words[at] == "--seconds" && has_value) {
      found.seconds = number("--seconds", words[++at]);
    } else if (words[at].rfind("--", 0) == 0 && words[at] != "--help") {
      throw std::runtime_error(words[at] + ": no such option, or its value is missing.");
    } else if (found.net.empty()) {
      found.net = words[at];
    } else {
      found.images.push_back(words[at]);
    }
  }
  if (found.images.empty() || found.net == "--help" || found.ms == 0) {
    throw std::runtime_error("usage: deadline NET IMAGE... --ms TIME [--seconds 6]");
  }
  return found;
}

/// Threads that compute nothing, as other programs may at any time.
class Load {
 public:
  Load() {
    const unsigned count = 2 * std::max(1U, std::thread::hardware_concurrency());
    for (unsigned number = 0; number < count; ++number) {
      threads_.emplace_back([this] {
        while (!ended_) {
        }
      });
    }
  }
  ~Load() {
    ended_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

 private:
  std::atomic<bool> ended_{false};
  std::vector<std::thread> threads_;
};

/// One call after the other for some seconds; prints what is picked whenever that changes.
void stream(const char* title, double seconds, const dyncompile::Governor& governor,
            const std::vector<dyncompile::Sample>& frames) {
  const auto start = Clock::now();
  std::size_t calls = 0, in_time = 0;
  dyncompile::Pick pick;
  dyncompile::OperatingPoint before;
  std::printf("%s\n", title);
  while (ms_since(start) < 1000 * seconds) {
    const auto began = Clock::now();
    governor.run(frames[calls % frames.size()], {}, &pick);
    in_time += ms_since(began) <= pick.budget.ms;
    if (!calls++ || pick.point != before) {
      std::printf("  %5.2f s  %s\n", ms_since(start) / 1000, pick.to_string().c_str());
      before = pick.point;
    }
  }
  std::printf("  %zu calls, %.1f %% in time\n", calls,
              100 * static_cast<double>(in_time) / static_cast<double>(calls));
}

void run(const Arguments& arguments) {
  dyncompile::LoadOptions options;
  options.threads = 1;
  const auto net = dyncompile::Net::load(arguments.net, options);
  std::vector<Image> images;
  for (const std::string& file : arguments.images) images.push_back(read_pgm(file));
  std::vector<dyncompile::Sample> frames;
  for (const Image& image : images) {
    const dyncompile::TensorView view(image.pixels, {1, 1, image.height, image.width});
    frames.push_back({{net.inputs().at(0).name, view}});
  }
  const auto measured = net.calibrate(frames);
  for (const auto& latency : measured.latencies) {
    const dyncompile::Pick pick{latency.point, {arguments.ms, 95}, latency.p95_ms, 1};
    std::printf("%s\n", pick.to_string().c_str());
  }
  const auto governor = net.within(arguments.ms, measured);
  stream("alone:", arguments.seconds / 3, governor, frames);
  {
    const Load load;
    stream("under load:", arguments.seconds / 3, governor, frames);
  }
  stream("alone again:", arguments.seconds / 3, governor, frames);
}

}  // namespace

int main(int count, char** words) {
  try {
    run(parse({words + 1, words + count}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

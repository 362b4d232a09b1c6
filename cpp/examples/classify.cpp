// Classify images at a budget: classify NET IMAGE... [--budget VALUE]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <dyncompile/dyncompile.hpp>
#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "pgm.hpp"

namespace {

struct Arguments {
  std::string net, budget;
  std::vector<std::string> images;
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments found;
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (words[at] == "--budget" && at + 1 < words.size()) {
      found.budget = words[++at];
    } else if (words[at].rfind("--", 0) == 0 && words[at] != "--help") {
      throw std::runtime_error(words[at] + ": no such option, or its value is missing.");
    } else if (found.net.empty()) {
      found.net = words[at];
    } else {
      found.images.push_back(words[at]);
    }
  }
  if (found.images.empty() || found.net == "--help") {
    throw std::runtime_error("usage: classify NET IMAGE... [--budget VALUE]");
  }
  return found;
}

std::string text_of(const std::variant<double, std::string>& value) {
  if (const auto* label = std::get_if<std::string>(&value)) return *label;
  char text[32];
  std::snprintf(text, sizeof text, "%g", std::get<double>(value));
  return text;
}

/// The level of a knob that stands for this value, such as "0.5" of the channels.
std::int64_t level_named(const dyncompile::Knob& knob, const std::string& wanted) {
  std::string known;
  for (std::size_t level = 0; level < knob.levels()->values.size(); ++level) {
    const std::string text = text_of(knob.levels()->values[level]);
    if (text == wanted) return static_cast<std::int64_t>(level);
    known += (level ? ", " : "") + text;
  }
  throw std::runtime_error("--budget: " + wanted + " is not one of " + known + ".");
}

void run(const Arguments& arguments) {
  const auto net = dyncompile::Net::load(arguments.net);
  std::vector<dyncompile::Setting> settings;
  if (!arguments.budget.empty()) {
    const auto& knobs = net.knobs();
    const auto knob = std::find_if(knobs.begin(), knobs.end(),
                                   [](const dyncompile::Knob& each) { return each.levels(); });
    if (knob == knobs.end()) throw std::runtime_error("--budget: the network has no levels.");
    settings.push_back({knob->name, level_named(*knob, arguments.budget)});
  }
  const std::string& input = net.inputs().at(0).name;
  for (const std::string& file : arguments.images) {
    const Image image = read_pgm(file);
    const dyncompile::TensorView view(image.pixels, {1, 1, image.height, image.width});
    const auto outputs = net.run({{input, view}}, settings);
    const float* scores = outputs[0].data<float>();
    const float* best = std::max_element(scores, scores + outputs[0].size());
    double sum = 0;  // of the softmax
    for (std::size_t at = 0; at < outputs[0].size(); ++at) sum += std::exp(scores[at] - *best);
    std::printf("%s: %d (%.1f %%)\n", file.c_str(), static_cast<int>(best - scores), 100 / sum);
  }
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

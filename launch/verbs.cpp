#include "launch/verbs.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "launch/version.h"

namespace hearth {

namespace {

struct Verb {
  std::string_view name;
  std::string_view meaning;
  int (*run)(const Words&, Environment&);
  bool makes_world;
};

constexpr std::array<Verb, 11> verbs = {{
    {"prepare", "read, check and tokenise a recipe's data; show counts and rows", verb_prepare, true},
    {"plan", "memory, traffic and time of a run on any mesh, before there is one", verb_plan, true},
    {"train", "train by a recipe, or continue; under mpirun on many ranks", verb_train, true},
    {"verify", "whether a recipe's mesh gives what one rank gives, right here", verb_verify, true},
    {"eval", "loss, perplexity and exact match of a model on a file, as JSON", verb_eval, true},
    {"generate", "continue a text", verb_generate, true},
    {"export", "write a trained run as a Hugging Face folder", verb_export, true},
    {"tokenize", "token ids of a file", verb_tokenize, false},
    {"probe", "logits, loss and gradients of given tokens, as safetensors", verb_probe, true},
    {"inspect", "what a model, checkpoint, token store or run holds", verb_inspect, false},
    {"recipe", "list, show, copy and check recipes", verb_recipe, false},
}};

std::string help() {
  std::string text =
      "usage: hearth VERB [words] [options]\n"
      "       mpirun -n RANKS hearth train RECIPE [--set key=value ...]\n\n"
      "hearth trains and runs language models on private text, on hardware of your\nown, without a "
      "network.\n\nverbs:\n";
  for (const Verb& verb : verbs) text += fmt::format("  {:<10} {}\n", verb.name, verb.meaning);
  text +=
      "\n`hearth VERB --help` tells more; --version says what this is.\n"
      "\nexit codes: 0 done, 2 usage or recipe, 3 data or model, 4 machine or lock,\n"
      "5 NaN, 6 storage, 7 integrity, 10 interrupted with a checkpoint, 17 a result\n"
      "failed its check, 70 a defect of hearth\n";
  return text;
}

/// Letters that differ between two words (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

[[noreturn]] void refuse(const std::string& word) {
  std::vector<std::string_view> known = {"--help", "--version"};
  for (const Verb& verb : verbs) known.push_back(verb.name);
  const auto nearest = std::min_element(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
    return distance(word, a) < distance(word, b);
  });
  const std::string hint = distance(word, *nearest) <= 2 ? fmt::format("; did you mean `{}`?", *nearest) : "";
  fail(Kind::usage, "there is no verb `{}`{} (`hearth --help` lists them)", word, hint);
}

}  // namespace

int run_verb(const Words& words, Environment& environment) {
  if (words.size() == 2 && words[0] == "help") return run_verb({words[1], "--help"}, environment);
  if (words.empty()) {
    std::fputs(help().c_str(), stderr);
    return exit_code(Kind::usage);
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::fputs(help().c_str(), stdout);
    return 0;
  }
  if (words[0] == "--version") {
    std::fputs(version_text(environment).c_str(), stdout);
    return 0;
  }
  environment.meets = environment.under_launcher;
  for (const Verb& verb : verbs) {
    if (verb.name != words[0]) continue;
    if (!verb.makes_world) come_alone(verb.name, environment);
    return verb.run(Words(words.begin() + 1, words.end()), environment);
  }
  refuse(words[0]);
}

}  // namespace hearth

// prepare RECIPE: the data of a recipe, before anything is trained.
#include "launch/options.h"
#include "launch/version.h"
#include "trainer/run_data.h"
#include "trainer/run_start.h"
#include "trainer/together_of.h"

namespace hearth {

namespace {

namespace po = boost::program_options;

/// What a token stands for, on one line.
std::string shown(const std::optional<Tokenizer>& tokenizer, std::int32_t id) {
  if (!tokenizer) return fmt::format("#{}", id);
  std::string text;
  for (const char c : tokenizer->decode(std::span(&id, 1), false)) {
    if (c == '\n') {
      text += "⏎";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      text += c;
    }
  }
  return text;
}

/// A row token by token: each with its id; targets in colour, tokens that nothing is trained to predict in grey.
/// Without colours, trained tokens stand in [brackets].
void show_row(const Row& row, std::int64_t number, const std::optional<Tokenizer>& tokenizer, bool colors) {
  fmt::print("\nrow {}: {} tokens, {} document(s); {}\n", number, row.tokens.size(), row.document_starts.size() - 1,
             colors ? "trained tokens in colour, others grey" : "trained tokens in [brackets]");
  constexpr std::size_t most = 160;
  std::size_t document = 0;
  for (std::size_t t = 0; t < std::min(row.tokens.size(), most); ++t) {
    if (document + 1 < row.document_starts.size() && static_cast<std::size_t>(row.document_starts[document]) == t) {
      fmt::print("{}", document == 0 ? "" : "\n--- next document ---\n");
      ++document;
    }
    const bool starts = static_cast<std::size_t>(row.document_starts[document - 1]) == t;
    const bool trained = !starts && row.targets[t - 1] == row.tokens[t];
    const std::string text = fmt::format("{}:{}", shown(tokenizer, row.tokens[t]), row.tokens[t]);
    if (colors) {
      fmt::print("{}{}\033[0m ", trained ? "\033[32m" : "\033[2m", text);
    } else {
      fmt::print("{} ", trained ? "[" + text + "]" : text);
    }
  }
  fmt::print("{}\n", row.tokens.size() > most ? fmt::format("... {} more", row.tokens.size() - most) : "");
}

}  // namespace

int verb_prepare(const Words& words, Environment& environment) {
  Options options(
      "prepare RECIPE [--set key=value ...]",
      "Reads, checks and tokenises a recipe's data into its cache, shows the counts and three rows token by token.\n"
      "`hearth train` does the same by itself. Alone or under mpirun: the work is shared out.",
      {"RECIPE"});
  options.add()("set", po::value<Words>()->composing(), "key=value: replaces a key of the recipe");
  if (!options.parse(words)) return 0;
  const Recipe recipe = read_recipe(options.text("RECIPE"), options.has("set") ? options.as<Words>("set") : Words());
  World world(environment, 1);
  const RunStart start = start_run(recipe, world.all(), program_name());
  if (world.first()) {
    for (const auto& notes : {recipe.notes, start.notes}) {
      for (const std::string& note : notes) fmt::print("note: {}\n", note);
    }
  }
  const Together together = together_on_files_of(world.all());
  const RunModel model = run_model(recipe, together);
  if (world.first()) {
    for (const std::string& note : model.notes) fmt::print("note: {}\n", note);
  }
  const Prepared prepared = prepare_data(recipe, model, together);
  if (!world.first()) return 0;
  fmt::print("{}", prepared.counts.text());
  for (std::int64_t row = 0; row < std::min<std::int64_t>(3, prepared.train.rows()); ++row) {
    show_row(prepared.train.row(row), row, model.tokenizer, environment.colors);
  }
  return 0;
}

}  // namespace hearth

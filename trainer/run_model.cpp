#include "trainer/run_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/corpus.h"
#include "data/tokenizer/bpe_trainer.h"
#include "model/hf/config.h"
#include "model/hf/config_keys.h"
#include "trainer/run_data.h"

namespace hearth {

namespace {

constexpr const char* end_of_text = "<|endoftext|>";
constexpr const char* config_place = "model_config of the recipe";  // in messages

/// Makes a byte-level BPE of the recipe's own texts in a folder, unless it is there.
void train_tokenizer(const Recipe& recipe, const Sources& sources, const Path& folder, const Together& together) {
  const Path made_from = folder / "made_from.txt";
  std::string content =
      fmt::format("{} entries, of the texts with these SHA-384\n", *recipe.model.tokenizer_vocab_size);
  for (const SourceFile& file : sources.files) content += file.sha384 + "\n";
  const bool there = std::filesystem::exists(folder / "tokenizer.json") && std::filesystem::exists(made_from);
  // Once a checkpoint stands on a vocabulary it stays: other texts are then refused as changed data.
  if (there && (read_text(made_from) == content || !checkpoints(recipe.output.output_dir).empty())) return;
  BpeTrainer trainer;
  walk_texts(sources, [&](std::string_view text) {
    together.check();
    trainer.add(text);
  });
  const std::string json = trainer.train(*recipe.model.tokenizer_vocab_size, {end_of_text}, together.check);
  make_folder(folder);
  const nlohmann::ordered_json settings = {
      {"tokenizer_class", "PreTrainedTokenizerFast"}, {"eos_token", end_of_text}, {"add_bos_token", false}};
  write_file(folder / "tokenizer_config.json", settings.dump(2) + "\n");
  write_file(folder / "tokenizer.json", json);
  write_file(made_from, content);  // last: its presence says that all are there
}

/// model_config with what the tokenizer knows better: the vocabulary and the tokens that begin and end a text.
std::string completed(const std::string& text, const std::optional<Tokenizer>& tokenizer) {
  auto json = nlohmann::ordered_json::parse(text);
  if (!tokenizer || !json.is_object()) return text;
  if (!json.contains("vocab_size")) json["vocab_size"] = tokenizer->vocabulary_size();
  if (!json.contains("eos_token_id") && tokenizer->eos()) json["eos_token_id"] = *tokenizer->eos();
  if (!json.contains("bos_token_id") && tokenizer->bos()) json["bos_token_id"] = *tokenizer->bos();
  return json.dump(2);
}

void check_vocabulary(const RunModel& model) {
  if (!model.tokenizer || model.tokenizer->vocabulary_size() <= model.config.vocabulary) return;
  fail(Kind::usage,
       "the tokenizer has {} tokens and the model's vocab_size is {}: use the tokenizer that belongs to the model, "
       "or a model_config with vocab_size at least {}",
       model.tokenizer->vocabulary_size(), model.config.vocabulary, model.tokenizer->vocabulary_size());
}

void replace(CarriedFiles& files, const std::string& name, std::string bytes) {
  std::erase_if(files, [&](const auto& file) { return file.first == name; });
  files.emplace_back(name, std::move(bytes));
}

/// The tokenizer that the recipe names or trains; nothing when it does neither.
std::optional<Path> chosen_tokenizer(const Recipe& recipe) {
  if (recipe.model.tokenizer_vocab_size) return Path(recipe.output.output_dir) / "tokenizer";
  if (recipe.model.tokenizer_name_or_path) return Path(*recipe.model.tokenizer_name_or_path);
  return std::nullopt;
}

/// What a model's own file says beyond what hearth knows may be what sets it apart.
void take_notes(RunModel& model) {
  model.notes = model.base->notes();
  const std::vector<std::string> unknown = hf::unknown_keys(model.base->config().source_json);
  if (unknown.empty()) return;
  model.notes.push_back(
      fmt::format("{}/config.json has keys that hearth does not know: {}; they have no effect here, and "
                  "what is saved and exported keeps them as they are",
                  model.base->name(), fmt::join(unknown, ", ")));
}

/// Fills in what follows from the base and the recipe; what one rank does by itself.
void complete(RunModel& model, const Recipe& recipe) {
  if (model.base) {
    model.config = model.base->config();
    model.tokenizer = model.base->tokenizer();
    model.files = model.base->files();
  }
  if (const auto chosen = chosen_tokenizer(recipe)) {
    model.tokenizer = Tokenizer::load(*chosen);
    const Path folder = std::filesystem::is_directory(*chosen) ? *chosen : Path();
    if (folder.empty()) {
      replace(model.files, "tokenizer.json", model.tokenizer->json());
    } else {
      for (auto& [name, bytes] : carried_from(folder)) replace(model.files, name, std::move(bytes));
    }
  }
  if (recipe.from_nothing()) {
    model.config = hf::parse_config(completed(*recipe.model.model_config, model.tokenizer), config_place);
  }
  if (recipe.model.initializer_range)
    model.config.initializer_range = static_cast<float>(*recipe.model.initializer_range);
  check_vocabulary(model);
  model.config.dtype = recipe.train.dtype;
  replace(model.files, "config.json", hf::to_json(model.config, recipe.train.dtype));
  if (!carried_file(model.files, "generation_config.json")) {
    model.files.emplace_back("generation_config.json", hf::generation_json(model.config));
  }
}

}  // namespace

ModelConfig config_of(const Recipe& recipe) {
  if (!recipe.from_nothing()) {
    const Path folder = *recipe.model.model_name_or_path;
    if (!std::filesystem::exists(folder)) {
      fail(
          Kind::data,
          "model_name_or_path: there is no `{}` here (hearth downloads nothing: fetch the model first; its config.json "
          "is enough for this)",
          folder.string());
    }
    if (std::filesystem::exists(folder / "config.json")) return hf::read_config(folder);
    return OpenedModel(folder).config();
  }
  auto json = nlohmann::ordered_json::parse(*recipe.model.model_config);
  if (recipe.model.tokenizer_vocab_size && json.is_object() && !json.contains("vocab_size")) {
    json["vocab_size"] = *recipe.model.tokenizer_vocab_size;  // a trained vocabulary has at most as many
  }
  return hf::parse_config(json.dump(), config_place);
}

RunModel model_without_texts(const Recipe& recipe) {
  RunModel model;
  if (!recipe.from_nothing()) model.base = std::make_unique<OpenedModel>(*recipe.model.model_name_or_path);
  if (recipe.model.tokenizer_vocab_size) {
    model.config = config_of(recipe);
  } else {
    complete(model, recipe);
  }
  if (model.base) take_notes(model);
  return model;
}

void check_questions(const Recipe& recipe, const RunModel& model) {
  if (!recipe.eval.domain_qa || model.tokenizer || recipe.model.tokenizer_vocab_size) return;
  fail_everywhere(
      Kind::usage,
      "domain_qa needs a tokenizer, and the model's folder has none: give tokenizer_name_or_path, or remove "
      "domain_qa");
}

RunModel run_model(const Recipe& recipe, const Together& together) {
  std::shared_ptr<const Sources> sources;
  if (recipe.model.tokenizer_vocab_size) {
    sources = std::make_shared<const Sources>(find_sources(data_sources(recipe.data.datasets, recipe), together));
    all_or_none(together, [&] {
      if (together.part == 0) train_tokenizer(recipe, *sources, Path(recipe.output.output_dir) / "tokenizer", together);
    });
  }
  RunModel model;
  if (!recipe.from_nothing()) model.base = std::make_unique<OpenedModel>(*recipe.model.model_name_or_path, together);
  all_or_none(together, [&] { complete(model, recipe); });
  if (model.base) take_notes(model);
  model.sources = std::move(sources);
  return model;
}

}  // namespace hearth

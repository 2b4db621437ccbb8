#include "trainer/run_data.h"

#include <algorithm>
#include <memory>

#include "data/tokenizer_encoder.h"

namespace hearth {

namespace {

Overflow overflow_of(Recipe::Overflow overflow) {
  switch (overflow) {
    case Recipe::Overflow::raise:
      return Overflow::raise;
    case Recipe::Overflow::drop:
      return Overflow::drop;
    case Recipe::Overflow::truncate:
      return Overflow::truncate;
    case Recipe::Overflow::split:
      break;
  }
  return Overflow::split;
}

Packing packing_of(Recipe::Packing packing) {
  if (packing == Recipe::Packing::none) return Packing::none;
  return packing == Recipe::Packing::bfd ? Packing::bfd : Packing::wrapped;
}

Prepared prepare_with(const DataOptions& options, const std::optional<Tokenizer>& tokenizer, const Together& together) {
  if (!tokenizer) return prepare(options, nullptr, together);
  const TokenizerEncoder encoder(*tokenizer);
  return prepare(options, &encoder, together);
}

}  // namespace

std::vector<DatasetSource> data_sources(const std::vector<Recipe::Dataset>& datasets, const Recipe& recipe) {
  std::vector<DatasetSource> sources;
  for (const Recipe::Dataset& dataset : datasets) {
    DatasetSource source;
    source.path = dataset.path;
    source.format = dataset.format;
    source.split = dataset.split;
    source.max_samples = dataset.max_samples ? dataset.max_samples : recipe.data.max_samples;
    source.columns = dataset.columns;
    sources.push_back(std::move(source));
  }
  return sources;
}

std::int64_t cutoff_len(const Recipe& recipe, const ModelConfig& config) {
  const std::int64_t tokens = recipe.data.cutoff_len.value_or(std::min<std::int64_t>(2048, config.max_positions));
  if (tokens > config.max_positions) {
    fail(Kind::usage, "cutoff_len: {} is more than the model's max_position_embeddings, {}", tokens,
         config.max_positions);
  }
  return tokens;
}

DataOptions data_options(const Recipe& recipe, const ModelConfig& config) {
  DataOptions options;
  options.datasets = data_sources(recipe.data.datasets, recipe);
  options.eval_datasets = data_sources(recipe.data.eval_dataset, recipe);
  options.rules = {recipe.method.stage == Recipe::Stage::pt ? DataStage::pt : DataStage::sft,
                   recipe.data.train_on.prompt};
  options.cutoff_len = cutoff_len(recipe, config);
  options.packing = packing_of(recipe.data.packing);
  options.overflow = overflow_of(recipe.data.overflow);
  options.val_size = recipe.data.val_size;
  options.seed = static_cast<std::uint64_t>(recipe.train.seed);
  options.bad_rows = recipe.data.bad_rows == Recipe::BadRows::drop ? BadRows::drop : BadRows::error;
  options.bad_rows_limit = recipe.data.bad_rows_limit;
  options.vocabulary = config.vocabulary;
  options.cache_dir = recipe.data.cache_dir;
  options.side_folder = recipe.output.output_dir;
  return options;
}

Prepared prepare_data(const Recipe& recipe, const RunModel& model, const Together& together) {
  DataOptions options;
  all_or_none(together, [&] { options = data_options(recipe, model.config); });
  options.found = model.sources;
  return prepare_with(options, model.tokenizer, together);
}

Prepared prepare_questions(const Path& path, std::int64_t cutoff_len, const Path& cache_dir, const Tokenizer& tokenizer,
                           const Together& together) {
  DataOptions options;
  options.datasets = {DatasetSource{.path = path.string(), .format = Format::prompt_completion}};
  options.rules.stage = DataStage::sft;
  options.cutoff_len = cutoff_len;
  options.packing = Packing::none;
  options.overflow = Overflow::raise;
  options.vocabulary = tokenizer.vocabulary_size();
  options.cache_dir = cache_dir;
  options.by_recipe = false;  // the side file is the training rows'
  return prepare_with(options, tokenizer, together);
}

Prepared prepare_questions(const Recipe& recipe, const RunModel& model, const Together& together) {
  check_questions(recipe, model);
  const std::int64_t longest = std::min<std::int64_t>(2048, model.config.max_positions);
  return prepare_questions(recipe.eval.domain_qa->path, longest, recipe.data.cache_dir, *model.tokenizer, together);
}

}  // namespace hearth

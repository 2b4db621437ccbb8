// A model as people name it: a Hugging Face folder, a checkpoint (step-N), or a run's output folder (its newest
// checkpoint).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/together.h"
#include "data/tokenizer/tokenizer.h"
#include "model/hf/weight_files.h"
#include "trainer/checkpoint.h"
#include "trainer/groups.h"

namespace hearth {

class OpenedModel {
 public:
  /// Opens and checks; reads no weights yet. Throws Kind::data (no model there, broken files), Kind::integrity (a
  /// checkpoint that does not verify).
  explicit OpenedModel(const Path& model_or_run);
  /// The same on every part, or on none; of the parts that see the same files one compares the digests. Collective.
  OpenedModel(const Path& model_or_run, const Together& together);

  const ModelConfig& config() const { return config_; }
  /// The dtype it is meant to be computed in: of the stored weights, or of the run's recipe.
  Dtype dtype() const { return config_.dtype; }
  /// What messages call it.
  const std::string& name() const { return name_; }
  /// Nothing where the folder has none.
  const std::optional<Tokenizer>& tokenizer() const { return tokenizer_; }
  /// Tokens that end a text: of generation_config.json, config.json and the tokenizer.
  const std::vector<std::int32_t>& end_tokens() const { return end_tokens_; }
  /// Every small file of the folder that belongs to the model, for carrying over: name, bytes.
  const CarriedFiles& files() const { return files_; }
  /// What a person should know: newer checkpoints that were passed over, and why. Of parts that share their files the first
  /// has them.
  const std::vector<std::string>& notes() const { return notes_; }
  /// Null for a Hugging Face folder.
  const CheckpointReader* checkpoint() const { return checkpoint_.get(); }
  const hf::WeightFiles* weights() const { return weights_.get(); }
  /// Fills the weights of every group. Collective over the groups' ranks.
  void fill(Groups& groups) const;

 private:
  void open(const Path& place);
  void open_folder(const Path& folder);
  void open_checkpoint(const Path& folder);
  void read_end_tokens();

  std::string name_;
  ModelConfig config_;
  std::unique_ptr<hf::WeightFiles> weights_;
  std::unique_ptr<CheckpointReader> checkpoint_;
  std::optional<Tokenizer> tokenizer_;
  std::vector<std::int32_t> end_tokens_;
  CarriedFiles files_;
  std::vector<std::string> notes_;
};

/// The small files of a model folder that a run carries along: tokenizer and its settings, generation_config.json.
CarriedFiles carried_from(const Path& folder);
/// The bytes of one of them; nothing when it is not there.
std::optional<std::string> carried_file(const CarriedFiles& files, std::string_view name);

}  // namespace hearth

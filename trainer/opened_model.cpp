#include "trainer/opened_model.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "model/hf/config.h"
#include "trainer/weights.h"

namespace hearth {

namespace {

constexpr std::array<std::string_view, 8> tokenizer_files = {"tokenizer.json",
                                                             "tokenizer_config.json",
                                                             "special_tokens_map.json",
                                                             "generation_config.json",
                                                             "tokenizer.model",
                                                             "vocab.json",
                                                             "merges.txt",
                                                             "chat_template.jinja"};

/// A tokenizer from carried bytes: through a folder of its own, because its settings file belongs to it.
std::optional<Tokenizer> tokenizer_of(const Path& folder) {
  if (!std::filesystem::is_regular_file(folder / "tokenizer.json")) return std::nullopt;
  return Tokenizer::load(folder);
}

}  // namespace

CarriedFiles carried_from(const Path& folder) {
  CarriedFiles files;
  for (const std::string_view name : tokenizer_files) {
    const Path path = folder / name;
    if (std::filesystem::is_regular_file(path)) files.emplace_back(std::string(name), read_text(path));
  }
  return files;
}

std::optional<std::string> carried_file(const CarriedFiles& files, std::string_view name) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const auto& file) { return file.first == name; });
  if (found == files.end()) return std::nullopt;
  return found->second;
}

Path place_of_model(const Path& model_or_run, std::vector<std::string>& notes) {
  Path path = plain(model_or_run);
  if (!std::filesystem::exists(path)) fail(Kind::data, "there is no model at {}: no such folder", path.string());
  if (!std::filesystem::is_directory(path)) {
    fail(Kind::data, "{} is a file; name the folder of a model, a checkpoint or a run", path.string());
  }
  if (std::filesystem::exists(path / "MANIFEST.json")) {
    const CheckpointReader whole(path);  // compares every digest
    return path;
  }
  if (std::filesystem::exists(path / "config.json")) return path;
  const auto newest = newest_verified(path, notes);
  if (newest) return *newest;
  fail(Kind::data, "{} holds no model: neither config.json with weights, nor a checkpoint of a run", path.string());
}

OpenedModel::OpenedModel(const Path& model_or_run) {
  const Path place = place_of_model(model_or_run, notes_);
  open(place);
}

OpenedModel::OpenedModel(const Path& model_or_run, const Together& together) {
  const bool first = together.part == together.same_files.front();
  Path place;
  all_or_none(together, [&] {
    if (first) place = place_of_model(model_or_run, notes_);
  });
  const std::string found = together.gather(place.string()).at(static_cast<std::size_t>(together.same_files.front()));
  all_or_none(together, [&] { open(found); });
}

void OpenedModel::open(const Path& place) {
  if (std::filesystem::exists(place / "MANIFEST.json")) {
    open_checkpoint(place);
  } else {
    open_folder(place);
  }
  read_end_tokens();
}

void OpenedModel::open_folder(const Path& folder) {
  name_ = folder.string();
  config_ = hf::read_config(folder);
  weights_ = std::make_unique<hf::WeightFiles>(folder);
  hf::check_complete(*weights_, config_);
  tokenizer_ = tokenizer_of(folder);
  files_ = carried_from(folder);
}

void OpenedModel::open_checkpoint(const Path& folder) {
  name_ = folder.string();
  checkpoint_ = std::make_unique<CheckpointReader>(folder, Verify::nothing);
  const auto config = checkpoint_->carried("config.json");
  if (!config) fail(Kind::integrity, "{} has no config.json", folder.string());
  config_ = hf::parse_config(*config, (folder / "config.json").string());
  for (const std::string_view name : tokenizer_files) {
    if (auto bytes = checkpoint_->carried(name)) files_.emplace_back(std::string(name), std::move(*bytes));
  }
  tokenizer_ = tokenizer_of(folder);
}

void OpenedModel::read_end_tokens() {
  const auto add = [&](std::int64_t id) {
    const auto token = static_cast<std::int32_t>(id);
    if (std::find(end_tokens_.begin(), end_tokens_.end(), token) == end_tokens_.end()) end_tokens_.push_back(token);
  };
  for (const std::int64_t id : config_.end_tokens) add(id);
  if (const auto text = carried_file(files_, "generation_config.json")) {
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object()) fail(Kind::data, "{}/generation_config.json is no JSON object", name_);
    const auto ids = json.value("eos_token_id", nlohmann::json());
    if (ids.is_number_integer()) add(ids.get<std::int64_t>());
    for (const auto& id : ids.is_array() ? ids : nlohmann::json::array()) {
      if (id.is_number_integer()) add(id.get<std::int64_t>());
    }
  }
  if (tokenizer_ && tokenizer_->eos()) add(*tokenizer_->eos());
}

void OpenedModel::fill(Groups& groups) const {
  if (checkpoint_) {
    fill_from_checkpoint(groups, *checkpoint_, false);
  } else {
    fill_from_files(groups, *weights_);
  }
}

}  // namespace hearth

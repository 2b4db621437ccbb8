// Datasets as a recipe names them: paths, maps, and names out of another tool's registry.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trainer/recipe_nearest.h"
#include "trainer/recipe_values.h"

namespace hearth {
namespace {

using Dataset = Recipe::Dataset;
using Json = nlohmann::json;

const std::vector<std::string> column_words = {"text", "prompt", "completion", "input_ids", "labels"};
const std::vector<std::string> later_columns = {
    "query",    "history",     "messages", "system",        "tools",           "chosen",       "rejected",  "kto_tag",
    "role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag"};

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::vector<std::string> readable_formats() {
  std::vector<std::string> names;
  for (const Format format : {Format::text, Format::prompt_completion, Format::tokens}) {
    names.emplace_back(name_of(format));
  }
  return names;
}

/// `name#100`, as other tools write it: 100 rows.
void split_count(Dataset& dataset) {
  const auto hash = dataset.path.rfind('#');
  if (hash == std::string::npos || hash == 0 || hash + 1 == dataset.path.size()) return;
  YamlValue digits;
  digits.kind = YamlValue::Kind::scalar;
  digits.text = dataset.path.substr(hash + 1);
  const auto rows = as_whole(digits);
  if (!rows || *rows < 1) return;
  dataset.max_samples = rows;
  dataset.path.resize(hash);
}

/// Fills a dataset from the entries of a map, one function a key.
class DatasetMap {
 public:
  DatasetMap(RecipeDraft& draft, const YamlValue& map, std::string where)
      : draft_(draft), map_(map), where_(std::move(where)) {}

  std::optional<Dataset> read() {
    const std::size_t before = draft_.mistakes.size();
    refuse_unknown_entries(draft_, map_, where_, {"path", "format", "split", "weight", "max_samples", "columns"});
    read_path();
    read_format();
    read_max_samples();
    read_columns();
    read_split();
    refuse_weight();
    if (draft_.mistakes.size() > before) return std::nullopt;
    return dataset_;
  }

 private:
  Statement statement(const char* key) const {
    const YamlValue* value = map_.find(key);
    Statement result{where_ + "." + key, value == nullptr ? YamlValue() : *value, map_.line};
    if (value != nullptr) result.line = value->line;
    return result;
  }

  void read_path() {
    const Statement path = statement("path");
    if (path.value.is_null()) {
      draft_.complain(map_.line, fmt::format("{}: path is missing; name a file, a folder or a glob", where_));
    } else if (!path.value.is_scalar() || path.value.text.empty()) {
      refuse_value(draft_, path, "a file, a folder or a glob");
    } else {
      dataset_.path = path.value.text;
      split_count(dataset_);
    }
  }

  void read_format() {
    const Statement format = statement("format");
    if (format.value.is_null()) return;
    const std::string accepts = listed(readable_formats());
    const auto named = format.value.is_scalar() ? format_named(format.value.text) : std::nullopt;
    if (!named) {
      refuse_word(draft_, format, accepts, readable_formats(), {});
    } else if (!readable(*named)) {
      refuse_word(draft_, format, accepts, readable_formats(),
                  {{format.value.text, "is a format that this version cannot read yet"}});
    } else {
      dataset_.format = named;
    }
  }

  void read_max_samples() {
    const Statement most = statement("max_samples");
    if (most.value.is_null()) return;
    const auto rows = as_whole(most.value);
    if (!rows || *rows < 1) {
      refuse_value(draft_, most, "a whole number of at least 1");
    } else {
      dataset_.max_samples = rows;
    }
  }

  void read_columns() {
    const Statement columns = statement("columns");
    if (columns.value.is_null()) return;
    if (!columns.value.is_map()) {
      refuse_value(draft_, columns, "a map such as {prompt: question, completion: answer}");
      return;
    }
    for (const auto& [key, value] : columns.value.entries) read_column(columns.spelling, key, value);
  }

  void read_column(const std::string& where, const YamlValue& key, const YamlValue& value) {
    const std::string word = key.text == "response" ? "completion" : key.text;
    if (contains(later_columns, word)) {
      draft_.complain(key.line,
                      fmt::format("{}.{}: a column of a format that this version cannot read yet; accepted: {}", where,
                                  word, listed(column_words)));
    } else if (!contains(column_words, word)) {
      YamlValue one;
      one.kind = YamlValue::Kind::map;
      one.entries.emplace_back(key, value);
      refuse_unknown_entries(draft_, one, where, column_words);
    } else if (!value.is_scalar() || value.text.empty()) {
      refuse_value(draft_, {where + "." + key.text, value, key.line}, "the name of a column");
    } else if (!dataset_.columns.emplace(word, value.text).second) {
      draft_.complain(key.line, fmt::format("{}: completion is stated a second time, as {}", where, key.text));
    }
  }

  void read_split() {
    const Statement split = statement("split");
    if (split.value.is_null()) return;
    if (!split.value.is_scalar() || split.value.text.empty()) {
      refuse_value(draft_, split, "the name that the files of a folder begin with, such as train");
    } else {
      dataset_.split = split.value.text;
    }
  }

  void refuse_weight() {
    const Statement weight = statement("weight");
    if (weight.value.is_null() || as_number(weight.value) == 1.0) return;
    draft_.complain(weight.line,
                    fmt::format("{}: {} belongs to mixing by shares of tokens, which this version does not "
                                "have yet; remove it (or write 1)",
                                weight.spelling, weight.value.shown()));
  }

  RecipeDraft& draft_;
  const YamlValue& map_;
  std::string where_;
  Dataset dataset_;
};

std::optional<Dataset> read_dataset(RecipeDraft& draft, const YamlValue& value, const std::string& where) {
  if (value.is_map()) return DatasetMap(draft, value, where).read();
  if (value.is_scalar() && !value.text.empty()) {
    Dataset dataset;
    dataset.path = value.text;
    split_count(dataset);
    return dataset;
  }
  refuse_value(draft, {where, value, value.line}, "a path, or a map with path");
  return std::nullopt;
}

std::string written_dataset(const Dataset& dataset) {
  std::string text = fmt::format("{{path: {}", yaml_text(dataset.path));
  if (dataset.format) text += fmt::format(", format: {}", name_of(*dataset.format));
  if (!dataset.split.empty()) text += fmt::format(", split: {}", yaml_text(dataset.split));
  if (dataset.max_samples) text += fmt::format(", max_samples: {}", *dataset.max_samples);
  std::string columns;
  for (const auto& [word, column] : dataset.columns) {
    columns += fmt::format("{}{}: {}", columns.empty() ? "" : ", ", word, yaml_text(column));
  }
  if (!columns.empty()) text += fmt::format(", columns: {{{}}}", columns);
  return text + "}";
}

/// One entry of dataset_info.json as a dataset. `registry` is the folder.
std::optional<Dataset> registered(RecipeDraft& draft, const std::string& key, const std::string& name,
                                  const Json& entry, const Path& registry) {
  const auto refuse = [&](const std::string& why) {
    draft.complain(key, fmt::format("{}: `{}` of {}/dataset_info.json {}", key, name, registry.string(), why));
    return std::nullopt;
  };
  if (!entry.is_object() || !entry.contains("file_name") || !entry["file_name"].is_string()) {
    return refuse("names no local file (file_name); hearth downloads nothing");
  }
  Dataset dataset;
  dataset.path = (registry / entry["file_name"].get<std::string>()).string();
  const Json columns = entry.value("columns", Json::object());
  // The registry's way to say plain text: an alpaca set whose only column is the prompt.
  const bool text_only = columns.is_object() && columns.size() == 1 && columns.contains("prompt") &&
                         columns["prompt"].is_string() && draft.recipe.method.stage == Recipe::Stage::pt;
  if (!text_only) return refuse("is chat or instruction data, which this version cannot read yet");
  dataset.format = Format::text;
  if (columns["prompt"] != "text") dataset.columns["text"] = columns["prompt"].get<std::string>();
  if (entry.contains("num_samples") && entry["num_samples"].is_number_integer()) {
    dataset.max_samples = entry["num_samples"].get<std::int64_t>();
  }
  return dataset;
}

void resolve_names(RecipeDraft& draft, const std::string& key, std::vector<Dataset>& datasets, const Json& registry,
                   const Path& folder) {
  std::vector<Dataset> resolved;
  for (const Dataset& named : datasets) {
    std::string rest = named.path;
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      std::string name = rest.substr(0, comma);
      rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
      while (name.starts_with(' ')) name.erase(0, 1);
      if (!registry.contains(name)) {
        draft.complain(key, fmt::format("{}: `{}` is not in {}/dataset_info.json", key, name, folder.string()));
        continue;
      }
      auto dataset = registered(draft, key, name, registry[name], folder);
      if (!dataset) continue;
      if (named.max_samples) dataset->max_samples = named.max_samples;
      draft.note(fmt::format("dataset_dir: `{}` stands for {}", name, written_dataset(*dataset)));
      resolved.push_back(*dataset);
    }
  }
  datasets = std::move(resolved);
}

}  // namespace

FieldReading dataset_list(RecipeField<Recipe::Data, std::vector<Dataset>> field) {
  const std::string accepts = "a path, or a list of paths or of maps {path, format, max_samples, columns}";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    const bool list = statement.value.is_list();
    if (list && statement.value.items.empty()) return refuse_value(draft, statement, accepts);
    const std::vector<YamlValue> items = list ? statement.value.items : std::vector<YamlValue>{statement.value};
    std::vector<Dataset> datasets;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string where = list ? fmt::format("{}[{}]", statement.spelling, i) : statement.spelling;
      if (auto dataset = read_dataset(draft, items[i], where)) datasets.push_back(std::move(*dataset));
    }
    field.in(draft.recipe) = datasets;
    return datasets.size() == items.size();
  };
  WriteKey write = [field](const Recipe& recipe) -> std::optional<std::string> {
    std::string text;
    for (const Dataset& dataset : field.in(recipe)) text += "\n    - " + written_dataset(dataset);
    return text.empty() ? std::nullopt : std::optional(text);
  };
  return {accepts, read, write};
}

void resolve_registry(RecipeDraft& draft) {
  if (!draft.dataset_dir) return;
  const Path folder = *draft.dataset_dir;
  try {
    const Json registry = Json::parse(read_text(folder / "dataset_info.json"));
    if (!registry.is_object()) fail(Kind::data, "it is not a JSON object");
    resolve_names(draft, "datasets", draft.recipe.data.datasets, registry, folder);
    resolve_names(draft, "eval_dataset", draft.recipe.data.eval_dataset, registry, folder);
  } catch (const Json::exception& error) {
    draft.complain("dataset_dir",
                   fmt::format("dataset_dir: {}/dataset_info.json is not JSON: {}", folder.string(), error.what()));
  } catch (const Error& error) {
    draft.complain("dataset_dir", fmt::format("dataset_dir: {}", error.text()));
  }
}

}  // namespace hearth

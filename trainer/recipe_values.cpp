#include "trainer/recipe_values.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/hf/config_keys.h"
#include "trainer/recipe_nearest.h"

namespace hearth {
namespace {

using Json = nlohmann::json;

/// YAML's own types for plain scalars.
Json json_of(const YamlValue& value) {
  switch (value.kind) {
    case YamlValue::Kind::null:
      return nullptr;
    case YamlValue::Kind::list: {
      Json list = Json::array();
      for (const YamlValue& item : value.items) list.push_back(json_of(item));
      return list;
    }
    case YamlValue::Kind::map: {
      Json map = Json::object();
      for (const auto& [key, below] : value.entries) map[key.text] = json_of(below);
      return map;
    }
    case YamlValue::Kind::scalar:
      break;
  }
  if (!value.quoted) {
    if (const auto whole = as_whole(value)) return *whole;
    if (const auto number = as_number(value); number && std::isfinite(*number)) return *number;
    if (value.text == "true" || value.text == "false") return value.text == "true";
  }
  return value.text;
}

/// A key of a config.json that has no effect here, and which one was meant. A key is often spelt out or shortened
/// elsewhere (rms_norm_epsilon), so that a misspelling is not the only slip.
std::string without_effect(const std::string& key) {
  std::vector<std::string> nearest = nearest_words(key, hf::spoken_keys());
  if (nearest.empty()) nearest = hf::keys_like(key);
  return fmt::format("unknown key `{}`; {}{}", key,
                     nearest.empty() ? "no key that hearth reads is near it" : "nearest: ", listed(nearest));
}

/// Whoever writes a model down by hand means every key of it.
bool check_config_keys(RecipeDraft& draft, const YamlValue& map, const std::string& json) {
  const std::vector<std::string> unknown = hf::unknown_keys(json);
  for (const auto& [key, value] : map.entries) {
    if (std::find(unknown.begin(), unknown.end(), key.text) == unknown.end()) continue;
    draft.complain(key.line, "model_config: " + without_effect(key.text));
  }
  return unknown.empty();
}

/// A file has keys from many hands: those that nobody knows here are named and left out of the new model.
void leave_out_unknown(RecipeDraft& draft, Json& config, const std::string& file) {
  const std::vector<std::string> unknown = hf::unknown_keys(config.dump());
  if (unknown.empty()) return;
  for (const std::string& key : unknown) config.erase(key);
  draft.note(
      fmt::format("{} has keys that hearth does not know: {}; they have no effect, and the new model goes without "
                  "them",
                  file, fmt::join(unknown, ", ")));
}

bool read_config_file(RecipeDraft& draft, const Statement& statement) {
  std::string problem;
  Kind kind = Kind::data;
  try {
    Json config = Json::parse(read_text(statement.value.text));
    if (config.is_object()) {
      leave_out_unknown(draft, config, statement.value.text);
      draft.recipe.model.model_config = config.dump();
      return true;
    }
    problem = "is not a JSON object";
  } catch (const Json::exception& error) {
    problem = fmt::format("is not JSON: {}", error.what());
  } catch (const Error& error) {
    problem = fmt::format("cannot be read: {}", error.text());
    kind = error.kind();
  }
  draft.mistakes.push_back(
      {statement.value.line, fmt::format("{}: {} {}", statement.spelling, statement.value.shown(), problem), kind});
  return false;
}

void write_entry(std::string& text, const std::string& key, const Json& value) {
  text += fmt::format("\n    {}: {}", yaml_text(key), value.dump());
}

bool refuse_chat_part(RecipeDraft& draft, const std::string& where, const YamlValue& value, const char* part,
                      const char* present) {
  draft.complain(value.line, fmt::format("{}.{}: {} belongs to chat rows, which this version does not have yet; "
                                         "accepted: {}",
                                         where, part, value.shown(), present));
  return false;
}

/// The parts of train_on that concern chat rows may only say what holds anyway.
bool check_chat_parts(RecipeDraft& draft, const Statement& statement) {
  bool right = true;
  if (const YamlValue* eos = statement.value.find("eos"); eos != nullptr && eos->text != "turn") {
    right = refuse_chat_part(draft, statement.spelling, *eos, "eos", "turn");
  }
  if (const YamlValue* history = statement.value.find("history"); history != nullptr && as_flag(*history) != true) {
    right = refuse_chat_part(draft, statement.spelling, *history, "history", "true");
  }
  if (const YamlValue* roles = statement.value.find("roles"); roles != nullptr) {
    const bool usual =
        roles->items.size() == 2 && roles->items[0].text == "assistant" && roles->items[1].text == "tool_call";
    if (!usual) right = refuse_chat_part(draft, statement.spelling, *roles, "roles", "[assistant, tool_call]");
  }
  return right;
}

}  // namespace

FieldReading model_shape(RecipeField<Recipe::Model, std::optional<std::string>> field) {
  const std::string accepts = "a map of config.json's keys, or the path of such a file";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (statement.value.is_scalar() && !statement.value.text.empty()) return read_config_file(draft, statement);
    if (!statement.value.is_map() || statement.value.entries.empty()) return refuse_value(draft, statement, accepts);
    const std::string json = json_of(statement.value).dump();
    if (!check_config_keys(draft, statement.value, json)) return false;
    field.in(draft.recipe) = json;
    return true;
  };
  WriteKey write = [field](const Recipe& recipe) -> std::optional<std::string> {
    if (!field.in(recipe)) return std::nullopt;
    std::string text;
    const Json config = Json::parse(*field.in(recipe));
    for (const auto& [key, value] : config.items()) write_entry(text, key, value);
    return text;
  };
  return {accepts, read, write};
}

FieldReading trained_parts(RecipeField<Recipe::Data, Recipe::TrainOn> field) {
  const std::string accepts = "a map such as {prompt: false}";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (!statement.value.is_map()) return refuse_value(draft, statement, accepts);
    const std::size_t before = draft.mistakes.size();
    refuse_unknown_entries(draft, statement.value, statement.spelling, {"roles", "eos", "prompt", "history"});
    check_chat_parts(draft, statement);
    if (const YamlValue* prompt = statement.value.find("prompt"); prompt != nullptr) {
      const Statement stated{statement.spelling + ".prompt", *prompt, prompt->line};
      const auto wanted = as_flag(*prompt);
      if (wanted) field.in(draft.recipe).prompt = *wanted;
      if (!wanted) refuse_value(draft, stated, flag_words);
    }
    return draft.mistakes.size() == before;
  };
  return {accepts, read,
          written(field, [](const Recipe::TrainOn& parts) { return fmt::format("{{prompt: {}}}", parts.prompt); })};
}

ReadKey trained_prompt(Reversed reversed) {
  return [reversed](RecipeDraft& draft, const Statement& statement) {
    const auto wanted = as_flag(statement.value);
    if (!wanted) return refuse_value(draft, statement, flag_words);
    draft.recipe.data.train_on.prompt = *wanted != (reversed == Reversed::yes);
    return true;
  };
}

FieldReading questions(RecipeField<Recipe::Eval, std::optional<Recipe::Questions>> field) {
  const std::string accepts = "the path of rows with prompt and completion, or a map {path, max_new_tokens}";
  ReadKey read = [field, accepts](RecipeDraft& draft, const Statement& statement) {
    if (cleared(draft, statement, field)) return true;
    const YamlValue& value = statement.value;
    Recipe::Questions result;
    if (value.is_scalar() && !value.text.empty()) {
      result.path = value.text;
    } else if (value.is_map()) {
      refuse_unknown_entries(draft, value, statement.spelling, {"path", "max_new_tokens"});
      const YamlValue* path = value.find("path");
      if (path == nullptr || !path->is_scalar() || path->text.empty()) return refuse_value(draft, statement, accepts);
      result.path = path->text;
      if (const YamlValue* most = value.find("max_new_tokens"); most != nullptr) {
        const auto count = as_whole(*most);
        if (!count || *count < 1) {
          return refuse_value(draft, {statement.spelling + ".max_new_tokens", *most, most->line},
                              "a whole number of at least 1");
        }
        result.max_new_tokens = *count;
      }
    } else {
      return refuse_value(draft, statement, accepts);
    }
    field.in(draft.recipe) = result;
    return true;
  };
  return {accepts, read, written(field, [](const Recipe::Questions& asked) {
            return fmt::format("{{path: {}, max_new_tokens: {}}}", yaml_text(asked.path), asked.max_new_tokens);
          })};
}

}  // namespace hearth

#include "data/tokenizer/json.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::tokenization {

std::string_view Json::text() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) refuse("must be a string");
  return value;
}

bool Json::flag() const {
  bool value = false;
  if (element_.get(value) != simdjson::SUCCESS) refuse("must be true or false");
  return value;
}

std::int64_t Json::integer(std::int64_t low, std::int64_t high) const {
  std::int64_t value = 0;
  if (element_.get(value) != simdjson::SUCCESS || value < low || value > high) {
    refuse(fmt::format("must be a whole number from {} to {}", low, high));
  }
  return value;
}

double Json::number() const {
  double value = 0;
  if (element_.get(value) != simdjson::SUCCESS) refuse("must be a number");
  return value;
}

simdjson::dom::array Json::array() const {
  simdjson::dom::array value;
  if (element_.get(value) != simdjson::SUCCESS) refuse("must be an array");
  return value;
}

std::size_t Json::fields() const {
  simdjson::dom::object value;
  if (element_.get(value) != simdjson::SUCCESS) refuse("must be an object");
  return value.size();
}

std::vector<Json> Json::items() const {
  std::vector<Json> items;
  for (const simdjson::dom::element element : array()) {
    items.emplace_back(element, fmt::format("{}[{}]", place_, items.size()));
  }
  return items;
}

void Json::each(const std::function<void(std::string_view, simdjson::dom::element)>& each) const {
  simdjson::dom::object object;
  if (element_.get(object) != simdjson::SUCCESS) refuse("must be an object");
  for (const auto& field : object) each(field.key, field.value);
}

std::optional<Json> Json::find(std::string_view key) const {
  std::optional<Json> found;
  each([&](std::string_view name, simdjson::dom::element value) {
    if (name == key && !found && !value.is_null()) found.emplace(value, fmt::format("{}.{}", place_, key));
  });
  return found;
}

Json Json::at(std::string_view key) const {
  std::optional<Json> found;
  each([&](std::string_view name, simdjson::dom::element value) {
    if (name == key && !found) found.emplace(value, fmt::format("{}.{}", place_, key));
  });
  if (!found) refuse(fmt::format("has no \"{}\"", key));
  return *found;
}

bool Json::flag_or(std::string_view key, bool otherwise) const {
  const auto value = find(key);
  return value ? value->flag() : otherwise;
}

void Json::only(std::initializer_list<std::string_view> keys) const {
  std::vector<std::string_view> seen;
  each([&](std::string_view name, simdjson::dom::element) {
    if (std::find(keys.begin(), keys.end(), name) == keys.end()) {
      refuse(fmt::format("has \"{}\", which hearth does not know", name));
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) refuse(fmt::format("has \"{}\" twice", name));
    seen.push_back(name);
  });
}

void Json::refuse(std::string_view complaint) const {
  fail(Kind::data, "{}: {}", place_, complaint);
}

}  // namespace hearth::tokenization

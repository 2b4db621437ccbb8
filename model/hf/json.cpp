#include "model/hf/json.h"

#include <cmath>
#include <set>
#include <vector>

#include "base/error.h"

namespace hearth::hf {

namespace {

constexpr int deepest = 32;

/// The parser takes a zero byte for the end and would not see what follows.
void refuse_zero_bytes(std::string_view text, const std::string& where) {
  const std::size_t at = text.find('\0');
  if (at != std::string_view::npos) fail(Kind::data, "{}: not valid JSON: byte {} is zero", where, at);
}

template <class AnyJson>
AnyJson parse(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, typename AnyJson::parse_event_t event, AnyJson& parsed) {
    using Event = typename AnyJson::parse_event_t;
    if (depth > deepest) fail(Kind::data, "{}: nested deeper than {} levels", where, deepest);
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.template get_ref<const std::string&>()).second)
      fail(Kind::data, "{}: the key {} stands there twice; remove one of them", where, shown(parsed));
    return true;
  };
  refuse_zero_bytes(text, where);
  try {
    return AnyJson::parse(text, watch);
  } catch (const nlohmann::detail::exception& error) {
    fail(Kind::data, "{}: not valid JSON: {}", where, error.what());
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  return parse<Json>(text, where);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& where) {
  return parse<OrderedJson>(text, where);
}

Fields::Fields(const OrderedJson& object, std::string where, std::string inside)
    : object_(object), where_(std::move(where)), inside_(std::move(inside)) {
  if (!object_.is_object())
    fail(Kind::data, "{}: {} is {}; an object with keys is expected", where_, inside_.empty() ? "the file" : inside_,
         shown(object_));
}

std::string Fields::path(std::string_view key) const {
  return inside_.empty() ? std::string(key) : fmt::format("{}.{}", inside_, key);
}

void Fields::refuse(std::string_view key, std::string_view reason) const {
  const OrderedJson* value = find(key);
  fail(Kind::data, "{}: {} is {}; {}", where_, path(key), value == nullptr ? "null" : shown(*value), reason);
}

void Fields::miss(std::string_view key, std::string_view reason) const {
  fail(Kind::data, "{}: {} is missing; {}", where_, path(key), reason);
}

const OrderedJson* Fields::find(std::string_view key) const {
  const auto found = object_.find(std::string(key));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> Fields::integer(std::string_view key) const {
  const OrderedJson* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) refuse(key, "an integer is expected");
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) refuse(key, "it does not fit 64 bits");
  return value->get<std::int64_t>();
}

std::optional<double> Fields::number(std::string_view key) const {
  const OrderedJson* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) refuse(key, "a number is expected");
  const auto number = value->get<double>();
  if (!std::isfinite(number)) refuse(key, "a finite number is expected");
  return number;
}

std::optional<bool> Fields::flag(std::string_view key) const {
  const OrderedJson* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(key, "true or false is expected");
  return value->get<bool>();
}

std::optional<std::string> Fields::text(std::string_view key) const {
  const OrderedJson* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(key, "a text is expected");
  return value->get<std::string>();
}

std::int64_t Fields::integer(std::string_view key, std::int64_t otherwise, std::int64_t least,
                             std::int64_t most) const {
  const std::int64_t value = integer(key).value_or(otherwise);
  if (value < least || value > most) refuse(key, fmt::format("{} to {} is expected", least, most));
  return value;
}

double Fields::number(std::string_view key, double otherwise, double above) const {
  const double value = number(key).value_or(otherwise);
  if (!(value > above)) refuse(key, fmt::format("a number above {} is expected", above));
  return value;
}

}  // namespace hearth::hf

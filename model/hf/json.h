// Strict JSON for files that strangers wrote, and typed access that names file, key and value when it complains.
// For the sources of model/hf only: nlohmann's types appear in no public header.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::hf {

using Json = nlohmann::json;
using OrderedJson =
    nlohmann::ordered_json;  // keeps the order of keys; looks them up one by one, so only for small files

/// Parses one JSON value. Throws Kind::data naming `where` for what is no JSON, has duplicate keys or is nested deeper
/// than 32.
Json parse_json(std::string_view text, const std::string& where);
OrderedJson parse_ordered_json(std::string_view text, const std::string& where);

/// The keys of one JSON object. A key that is absent or null is nothing; one of a wrong type is an error.
class Fields {
 public:
  /// `inside` is the name of the object in messages: empty for the whole file. REQUIRES: the object outlives this.
  Fields(const OrderedJson& object, std::string where, std::string inside);

  const OrderedJson* find(std::string_view key) const;  // null when absent or null
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::optional<std::string> text(std::string_view key) const;

  /// An integer in [least, most], or `otherwise`.
  std::int64_t integer(std::string_view key, std::int64_t otherwise, std::int64_t least, std::int64_t most) const;
  /// A finite number above `above`, or `otherwise`.
  double number(std::string_view key, double otherwise, double above) const;

  /// Throws Kind::data: "WHERE: KEY is VALUE; REASON".
  [[noreturn]] void refuse(std::string_view key, std::string_view reason) const;
  /// Throws Kind::data: "WHERE: KEY is missing; REASON".
  [[noreturn]] void miss(std::string_view key, std::string_view reason) const;
  const OrderedJson& object() const { return object_; }

 private:
  std::string path(std::string_view key) const;

  const OrderedJson& object_;
  std::string where_;
  std::string inside_;
};

/// The value as it stands in the file, cut after 120 bytes.
template <class AnyJson>
std::string shown(const AnyJson& value) {
  std::string text = value.dump(-1, ' ', true, AnyJson::error_handler_t::replace);
  if (text.size() > 120) text = text.substr(0, 117) + "...";
  return text;
}

}  // namespace hearth::hf

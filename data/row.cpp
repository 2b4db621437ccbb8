#include "data/row.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/utf8.h"

namespace hearth {

namespace {

using Element = simdjson::dom::element;

constexpr std::array<std::string_view, 7> mappable = {"text",      "document", "prompt",        "completion",
                                                      "input_ids", "labels",   "attention_mask"};
/// Names that other tools' column maps use and that belong to formats which cannot be read yet.
constexpr std::array<std::string_view, 16> mappable_later = {
    "query",    "history",     "messages", "system",        "tools",           "chosen",       "rejected",   "kto_tag",
    "role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag", "images"};

template <class List>
bool has(const List& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::string canonical(const std::string& name) {
  return name == "response" ? "completion" : name;
}

/// What a column of the file is called in hearth: its own name, unless `columns` gives it another or gives its name
/// away.
std::string renamed(std::string_view column, const Columns& columns) {
  for (const auto& [name, from] : columns) {
    if (from == column) return canonical(name);
  }
  for (const auto& [name, from] : columns) {
    if (canonical(name) == column) return "";  // another column bears this name now
  }
  return std::string(column);
}

std::string json_reason(simdjson::error_code error) {
  std::string reason = simdjson::error_message(error);
  if (error == simdjson::STRING_ERROR) reason += " (a wrong escape, or half of a pair, as \\ud800 alone is)";
  return reason;
}

std::optional<Complaint> as_text(const Element& element, const char* key, std::string& into) {
  std::string_view view;
  if (element.get_string().get(view) == simdjson::SUCCESS) {
    into = view;
    return std::nullopt;
  }
  if (element.is_array()) {
    return Complaint{"column of another kind",
                     fmt::format("`{}` is a list; only text is understood, lists of messages are not there yet", key)};
  }
  return Complaint{"column of another kind", fmt::format("`{}` is not text", key)};
}

std::optional<Complaint> as_integers(const Element& element, const char* key, std::vector<std::int32_t>& into) {
  simdjson::dom::array array;
  if (element.get_array().get(array) != simdjson::SUCCESS) {
    return Complaint{"column of another kind", fmt::format("`{}` is not a list of integers", key)};
  }
  into.clear();
  for (const Element& item : array) {
    std::int64_t value = 0;
    if (item.get_int64().get(value) != simdjson::SUCCESS || value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max()) {
      return Complaint{"column of another kind",
                       fmt::format("`{}` at position {} is not a 32-bit integer", key, into.size())};
    }
    into.push_back(static_cast<std::int32_t>(value));
  }
  return std::nullopt;
}

std::optional<Complaint> check_range(const std::vector<std::int32_t>& values, const char* key, std::int64_t vocabulary,
                                     std::int32_t also_allowed) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int32_t value = values[i];
    if (value == also_allowed) continue;
    if (value < 0 || (vocabulary > 0 && value >= vocabulary)) {
      return Complaint{"id out of range", vocabulary > 0
                                              ? fmt::format("`{}` at position {} is {}; the vocabulary has {} ids", key,
                                                            i, value, vocabulary)
                                              : fmt::format("`{}` at position {} is {}", key, i, value)};
    }
  }
  return std::nullopt;
}

}  // namespace

void check_columns(const Columns& columns) {
  std::set<std::string> names;
  std::set<std::string> sources;
  for (const auto& [name, column] : columns) {
    const std::string known = canonical(name);
    if (has(mappable_later, known)) {
      fail(Kind::usage, "data.columns: `{}` belongs to a row format that is not there yet; remove it", name);
    }
    if (!has(mappable, known)) {
      fail(Kind::usage,
           "data.columns: unknown column `{}`; known are text, prompt, completion (or response), input_ids, labels, "
           "attention_mask",
           name);
    }
    if (!names.insert(known).second) fail(Kind::usage, "data.columns: `{}` is given twice", known);
    if (!sources.insert(column).second) fail(Kind::usage, "data.columns: the file's column `{}` is used twice", column);
  }
}

std::optional<std::vector<std::string>> keys_of(std::string_view line, const Columns& columns) {
  simdjson::dom::parser parser;
  Element element;
  simdjson::dom::object object;
  if (parser.parse(line.data(), line.size()).get(element) != simdjson::SUCCESS) return std::nullopt;
  if (element.get_object().get(object) != simdjson::SUCCESS) return std::nullopt;
  std::vector<std::string> keys;
  for (const auto field : object) {
    if (const std::string key = renamed(field.key, columns); !key.empty()) keys.push_back(key);
  }
  return keys;
}

std::string why_no_object(std::string_view line) {
  simdjson::dom::parser parser;
  Element element;
  const simdjson::error_code error = parser.parse(line.data(), line.size()).get(element);
  return error == simdjson::SUCCESS ? "no object" : "not JSON: " + json_reason(error);
}

std::vector<Format> formats_that_fit(const std::vector<std::string>& keys) {
  const auto key = [&](std::string_view name) { return has(keys, name); };
  std::vector<Format> fit;
  if (key("text") || key("document")) fit.push_back(Format::text);
  if (key("prompt") && key("completion")) fit.push_back(Format::prompt_completion);
  if (key("input_ids")) fit.push_back(Format::tokens);
  if (key("instruction")) fit.push_back(Format::alpaca);
  if (key("conversations")) fit.push_back(Format::sharegpt);
  if (key("messages") || key("segments")) fit.push_back(Format::messages);
  if (key("chosen") || key("rejected")) fit.push_back(Format::preference);
  if ((key("completion") && key("label")) || key("kto_tag")) fit.push_back(Format::unpaired);
  if (key("completions")) fit.push_back(Format::stepwise);
  return fit;
}

struct RowParser::State {
  Format format;
  Columns columns;
  std::int64_t vocabulary;
  simdjson::dom::parser parser;
  std::map<std::string, Element, std::less<>> found;

  std::optional<Complaint> collect(std::string_view line, std::map<std::string, std::int64_t>& unknown);
  std::optional<Complaint> need(const char* key) const;
  std::optional<Complaint> text(RawRow& row) const;
  std::optional<Complaint> prompt_completion(RawRow& row) const;
  std::optional<Complaint> tokens(RawRow& row) const;
  bool used(std::string_view key) const;
};

RowParser::RowParser(Format format, Columns columns, std::int64_t vocabulary) : state_(std::make_unique<State>()) {
  require(readable(format), "rows are parsed in a readable format");
  state_->format = format;
  state_->columns = std::move(columns);
  state_->vocabulary = vocabulary;
}
RowParser::~RowParser() = default;
RowParser::RowParser(RowParser&&) noexcept = default;

bool RowParser::State::used(std::string_view key) const {
  switch (format) {
    case Format::text:
      return key == "text" || key == "document";
    case Format::prompt_completion:
      return key == "prompt" || key == "completion";
    default:
      return key == "input_ids" || key == "labels" || key == "attention_mask";
  }
}

std::optional<Complaint> RowParser::State::collect(std::string_view line,
                                                   std::map<std::string, std::int64_t>& unknown) {
  found.clear();
  Element element;
  if (const auto error = parser.parse(line.data(), line.size()).get(element); error != simdjson::SUCCESS) {
    return Complaint{"not JSON", json_reason(error)};
  }
  simdjson::dom::object object;
  if (element.get_object().get(object) != simdjson::SUCCESS)
    return Complaint{"not a JSON object", "a row is {\"key\": value, ...}"};
  for (const auto field : object) {
    const std::string key = renamed(field.key, columns);
    if (!used(key)) {
      ++unknown[std::string(field.key)];
    } else if (!found.emplace(key, field.value).second) {
      return Complaint{"column twice", fmt::format("`{}` stands twice in the row", std::string(field.key))};
    }
  }
  return std::nullopt;
}

std::optional<Complaint> RowParser::State::need(const char* key) const {
  const auto place = found.find(std::string_view(key));
  if (place != found.end() && !place->second.is_null()) return std::nullopt;
  return Complaint{"column missing", fmt::format("no `{}`, which a row of format {} needs", key, name_of(format))};
}

std::optional<Complaint> RowParser::State::text(RawRow& row) const {
  const bool as_document = found.contains("document") && !found.contains("text");
  if (found.size() == 2) return Complaint{"column twice", "both `text` and `document`: name one in data.columns"};
  const char* key = as_document ? "document" : "text";
  if (auto complaint = need(key)) return complaint;
  return as_text(found.find(std::string_view(key))->second, key, row.text);
}

std::optional<Complaint> RowParser::State::prompt_completion(RawRow& row) const {
  for (const auto& [key, into] : {std::pair{"prompt", &row.prompt}, std::pair{"completion", &row.completion}}) {
    if (auto complaint = need(key)) return complaint;
    if (auto complaint = as_text(found.find(std::string_view(key))->second, key, *into)) return complaint;
  }
  return std::nullopt;
}

std::optional<Complaint> RowParser::State::tokens(RawRow& row) const {
  if (auto complaint = need("input_ids")) return complaint;
  if (auto complaint = as_integers(found.find("input_ids")->second, "input_ids", row.ids)) return complaint;
  if (auto complaint = check_range(row.ids, "input_ids", vocabulary, 0)) return complaint;
  row.labels.clear();
  if (const auto place = found.find("labels"); place != found.end()) {
    if (auto complaint = as_integers(place->second, "labels", row.labels)) return complaint;
    if (row.labels.size() != row.ids.size()) {
      return Complaint{"lengths differ", fmt::format("{} input_ids and {} labels", row.ids.size(), row.labels.size())};
    }
    if (auto complaint = check_range(row.labels, "labels", vocabulary, -100)) return complaint;
  }
  if (const auto place = found.find("attention_mask"); place != found.end()) {
    std::vector<std::int32_t> mask;
    if (auto complaint = as_integers(place->second, "attention_mask", mask)) return complaint;
    if (mask.size() != row.ids.size()) {
      return Complaint{"lengths differ",
                       fmt::format("{} input_ids and {} in attention_mask", row.ids.size(), mask.size())};
    }
    if (!std::all_of(mask.begin(), mask.end(), [](std::int32_t m) { return m == 1; })) {
      return Complaint{"padded row", "attention_mask is not 1 everywhere: rows are given without padding"};
    }
  }
  return std::nullopt;
}

std::optional<Complaint> RowParser::parse(std::string_view line, RawRow& row,
                                          std::map<std::string, std::int64_t>& unknown) {
  if (auto complaint = state_->collect(line, unknown)) return complaint;
  row.format = state_->format;
  switch (state_->format) {
    case Format::text:
      return state_->text(row);
    case Format::prompt_completion:
      return state_->prompt_completion(row);
    default:
      return state_->tokens(row);
  }
}

std::optional<Complaint> utf8_complaint(std::string_view text, std::uint64_t first_line, std::uint64_t first_offset) {
  const auto bad = first_invalid_utf8(text);
  if (!bad) return std::nullopt;
  const auto lines = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(*bad), '\n');
  const bool utf16 = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  return Complaint{
      "not UTF-8",
      fmt::format("line {}, byte offset {} of the file (0x{:02x}); {}", first_line + static_cast<std::uint64_t>(lines),
                  first_offset + *bad, static_cast<unsigned char>(text[*bad]),
                  utf16 ? "it looks like UTF-16: convert it to UTF-8" : "convert it to UTF-8")};
}

}  // namespace hearth

#include "trainer/recipe_yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t largest_text = std::size_t{1} << 20;
constexpr std::size_t most_nodes = 20000;  // a recipe has hundreds; what aliases multiply ends here

/// Ends the parse; the complaint is already noted.
struct Stop {};

std::size_t nodes_of(const YamlValue& value) {
  std::size_t count = 1;
  for (const YamlValue& item : value.items) count += nodes_of(item);
  for (const auto& [key, below] : value.entries) count += 1 + nodes_of(below);
  return count;
}

class Builder : public YAML::EventHandler {
 public:
  Builder(Mistakes& mistakes, int fixed_line) : mistakes_(mistakes), fixed_line_(fixed_line) {}

  YamlValue take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    leaf(start(YamlValue::Kind::null, mark), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end()) stop(line_of(mark), "an alias stands inside the value that it names");
    nodes_ += nodes_of(found->second);
    leaf(found->second, 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    YamlValue value = start(YamlValue::Kind::scalar, mark);
    value.text = text;
    value.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!value.quoted) check_tag(tag, value.line);
    leaf(std::move(value), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({start(YamlValue::Kind::list, mark), anchor, {}});
    check_tag(tag, open_.back().value.line);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({start(YamlValue::Kind::map, mark), anchor, {}});
    check_tag(tag, open_.back().value.line);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlValue value;
    YAML::anchor_t anchor = 0;
    std::optional<YamlValue> key;
  };

  int line_of(const YAML::Mark& mark) const { return fixed_line_ != 0 ? fixed_line_ : mark.line + 1; }

  YamlValue start(YamlValue::Kind kind, const YAML::Mark& mark) {
    ++nodes_;
    YamlValue value;
    value.kind = kind;
    value.line = line_of(mark);
    if (nodes_ > most_nodes) stop(value.line, "more values than a recipe can have (aliases count as what they name)");
    return value;
  }

  void check_tag(const std::string& tag, int line) {
    if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with("tag:yaml.org,2002:")) return;
    mistakes_.push_back({line, fmt::format("the tag `{}` is not understood; remove it", tag)});
  }

  [[noreturn]] void stop(int line, std::string text) {
    mistakes_.push_back({line, std::move(text)});
    throw Stop{};
  }

  void leaf(YamlValue value, YAML::anchor_t anchor) {
    if (nodes_ > most_nodes) stop(value.line, "more values than a recipe can have (aliases count as what they name)");
    if (anchor != 0) anchored_[anchor] = value;
    place(std::move(value));
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    leaf(std::move(done.value), done.anchor);
  }

  void place(YamlValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    if (parent.value.is_list()) {
      parent.value.items.push_back(std::move(value));
    } else if (!parent.key) {
      if (!value.is_scalar()) stop(value.line, fmt::format("a key must be a word, not {}", value.shown()));
      parent.key = std::move(value);
    } else {
      add_entry(parent, std::move(value));
    }
  }

  void add_entry(Open& parent, YamlValue value) {
    if (const YamlValue* before = parent.value.find(parent.key->text); before != nullptr) {
      mistakes_.push_back({parent.key->line, fmt::format("`{}` is stated a second time (first with the value {}); "
                                                         "keep one of the two",
                                                         parent.key->text, before->shown())});
    } else {
      parent.value.entries.emplace_back(std::move(*parent.key), std::move(value));
    }
    parent.key.reset();
  }

  Mistakes& mistakes_;
  int fixed_line_;
  std::size_t nodes_ = 0;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlValue> anchored_;
  YamlValue root_;
};

int line_at(std::string_view text, std::size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

std::optional<Mistake> unreadable(std::string_view text) {
  if (text.size() > largest_text) {
    return Mistake{0, fmt::format("{} bytes are more than the {} that a recipe may have", text.size(), largest_text)};
  }
  if (const auto offset = first_invalid_utf8(text)) {
    return Mistake{line_at(text, *offset), "this is not UTF-8; save the file as UTF-8"};
  }
  if (const auto offset = text.find('\0'); offset != std::string_view::npos) {
    return Mistake{line_at(text, offset), "a zero byte; a recipe is text"};
  }
  return std::nullopt;
}

}  // namespace

YamlValue* YamlValue::find(std::string_view key) {
  for (auto& [name, value] : entries) {
    if (name.text == key) return &value;
  }
  return nullptr;
}

const YamlValue* YamlValue::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.text == key) return &value;
  }
  return nullptr;
}

std::string YamlValue::shown() const {
  constexpr std::size_t longest = 60;
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return fmt::format("a list of {}", items.size());
    case Kind::map:
      return entries.empty() ? "an empty map" : fmt::format("a map with `{}`", entries.front().first.text);
    case Kind::scalar:
      break;
  }
  std::string one_line = text;
  std::replace(one_line.begin(), one_line.end(), '\n', ' ');
  if (one_line.size() > longest) {
    std::size_t end = longest;
    while (end > 0 && (static_cast<unsigned char>(one_line[end]) & 0xc0U) == 0x80U) --end;
    one_line = one_line.substr(0, end) + "…";
  }
  return fmt::format("`{}`", one_line);
}

YamlValue read_yaml(std::string_view text, Mistakes& mistakes, int fixed_line) {
  if (auto complaint = unreadable(text)) {
    if (fixed_line != 0) complaint->line = fixed_line;
    mistakes.push_back(std::move(*complaint));
    return {};
  }
  std::istringstream stream{std::string(text)};
  Builder builder(mistakes, fixed_line);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    YamlValue root = builder.take();
    Builder second(mistakes, fixed_line);
    if (parser.HandleNextDocument(second)) {
      mistakes.push_back({fixed_line, "more than one YAML document; a recipe is one"});
    }
    return root;
  } catch (const YAML::Exception& error) {
    const bool star = error.msg.find("anchor") != std::string::npos;
    mistakes.push_back({fixed_line != 0 ? fixed_line : error.mark.line + 1,
                        fmt::format("not YAML: {} (column {}){}", error.msg, error.mark.column + 1,
                                    star ? "; a text that begins with * stands in quotes" : "")});
  } catch (const Stop&) {
    // said where it was found
  }
  return {};
}

std::string yaml_text(std::string_view text) {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static constexpr std::string_view others = "0123456789./_-";
  const bool plain = !text.empty() && (letters.find(text[0]) != std::string_view::npos || text[0] == '/') &&
                     std::all_of(text.begin(), text.end(), [](char c) {
                       return letters.find(c) != std::string_view::npos || others.find(c) != std::string_view::npos;
                     });
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const std::string_view word : {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"}) {
    if (lower == word) return fmt::format("\"{}\"", text);
  }
  return plain ? std::string(text) : nlohmann::json(text).dump();
}

}  // namespace hearth

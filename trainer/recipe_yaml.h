// YAML as a tree that remembers lines, and mistakes about it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace hearth {

/// A mistake in a recipe, and where. Lines of the file count from 1; override k of the command line (from 0) is -1 - k;
/// 0 is the recipe as a whole. Its kind: a mistake of the recipe itself, a file that it names and that is not there or not
/// what it should be (data), or one that may not be looked at (machine).
struct Mistake {
  int line = 0;
  std::string text;
  Kind kind = Kind::usage;
};
using Mistakes = std::vector<Mistake>;

/// A YAML node. Aliases are expanded (within a budget), tags other than YAML's own are complained about.
struct YamlValue {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  bool quoted = false;  // a scalar in quotes is text whatever it looks like
  int line = 0;
  std::string text;                                      // of a scalar
  std::vector<YamlValue> items;                          // of a list
  std::vector<std::pair<YamlValue, YamlValue>> entries;  // of a map; keys are scalars

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }
  /// The value under a key, or null.
  YamlValue* find(std::string_view key);
  const YamlValue* find(std::string_view key) const;
  /// As a message shows it: short, on one line.
  std::string shown() const;
};

/// Parses one document of at most 1 MiB. What is wrong is added to `mistakes` (a syntax error ends the reading: null
/// is returned). With `fixed_line` not zero, every node gets that line.
YamlValue read_yaml(std::string_view text, Mistakes& mistakes, int fixed_line = 0);

/// A scalar as YAML that reads back as the same text: plain where that is safe, in double quotes elsewhere.
std::string yaml_text(std::string_view text);

}  // namespace hearth

// The words behind a verb: positional arguments and options, checked; --help on one screen.
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "launch/verbs.h"

namespace hearth {

/// A file that is to be written later: its folder must be there and may be written to, and it is no folder itself. `what`
/// stands before it in messages. Throws Kind::usage, and without permission Kind::machine.
void check_output_file(const std::string& what, const Path& file);

/// What a verb accepts and what its --help says.
class Options {
 public:
  /// usage: "train RECIPE [options]"; about: what it does, in a sentence or two, to be wrapped; positional: names of the words without
  /// dashes, all required.
  Options(std::string usage, std::string about, std::vector<std::string> positional);

  /// Options are declared as Boost.Program_options does: options.add()("input,i", value<string>(), "meaning").
  boost::program_options::options_description_easy_init add() { return visible_.add_options(); }

  /// Reads the words. Returns false after printing help (asked for by --help). Throws Kind::usage naming the word that
  /// is unknown, doubled, missing or of a wrong form, and how to get help.
  bool parse(const Words& words);

  bool has(const std::string& name) const { return values_.count(name) > 0; }
  /// Whether it was typed, and is no default.
  bool given(const std::string& name) const { return has(name) && !values_[name].defaulted(); }
  template <class T>
  T as(const std::string& name) const {
    return values_[name].as<T>();
  }
  /// REQUIRES: has(name). A whole number in [least, most]; Kind::usage for others.
  std::int64_t whole(const std::string& name, std::int64_t least, std::int64_t most) const;
  /// The value of --threads, where it is given.
  std::optional<int> threads() const;
  /// REQUIRES: has(name). A file that is to be written (see check_output_file), and none of `others`, which are read.
  /// Throws Kind::usage and Kind::machine.
  std::string output(const std::string& name, const std::vector<std::string>& others) const;
  /// REQUIRES: has(name). The value of a positional word or of an option that is text.
  std::string text(const std::string& name) const { return as<std::string>(name); }

 private:
  std::string verb() const { return usage_.substr(0, usage_.find(' ')); }

  std::string usage_;
  std::string about_;
  std::vector<std::string> positional_;
  boost::program_options::options_description visible_;
  boost::program_options::variables_map values_;
};

}  // namespace hearth

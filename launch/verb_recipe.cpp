// recipe list | show NAME | copy NAME FILE | check FILE | keys
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "launch/options.h"
#include "launch/places.h"
#include "trainer/recipe.h"
#include "trainer/recipe_check.h"
#include "trainer/recipe_nearest.h"

namespace hearth {

namespace {

/// The comment that a recipe begins with, in one line.
std::string first_words(const Path& path) {
  const std::string text = read_text(path);
  const std::size_t end = text.find('\n');
  std::string line = text.substr(0, end);
  while (!line.empty() && (line[0] == '#' || line[0] == ' ')) line.erase(0, 1);
  return line;
}

std::vector<Path> recipes() {
  std::vector<Path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(recipes_folder())) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// "; did you mean `show`?", or nothing.
std::string meant(const std::string& word, const Words& accepted) {
  const Words nearest = nearest_words(word, accepted);
  return nearest.empty() ? "" : fmt::format("; did you mean `{}`?", nearest[0]);
}

Path recipe_named(const std::string& name) {
  const Path path = recipes_folder() / (name.ends_with(".yaml") ? name : name + ".yaml");
  if (!std::filesystem::is_regular_file(path)) {
    Words names;
    for (const Path& known : recipes()) names.push_back(known.stem().string());
    fail(Kind::usage, "there is no recipe `{}` in {}{} (`hearth recipe list` shows them)", name,
         recipes_folder().string(), meant(name, names));
  }
  return path;
}

int list() {
  for (const Path& path : recipes()) fmt::print("{:<20} {}\n", path.stem().string(), first_words(path));
  return 0;
}

int copy(const std::string& name, const Path& to) {
  const Path from = recipe_named(name);
  if (std::filesystem::exists(to)) fail(Kind::usage, "{} is there already; choose another name", to.string());
  check_output_file("", to);
  write_file(to, read_text(from));
  fmt::print("{} is yours to change; then: mpirun -n 2 hearth train {}\n", to.string(), to.string());
  return 0;
}

int check(const Path& path, const std::vector<std::string>& sets) {
  const Recipe recipe = read_recipe(path, sets);
  for (const std::string& note : recipe.notes) fmt::print(stderr, "note: {}\n", note);
  for (const std::string& note : check_recipe(recipe)) fmt::print(stderr, "note: {}\n", note);
  std::fputs(resolved_yaml(recipe).c_str(), stdout);
  return 0;
}

}  // namespace

int verb_recipe(const Words& words, Environment&) {
  const std::string usage =
      "usage: hearth recipe list            the recipes that come with hearth\n"
      "       hearth recipe show NAME       print one\n"
      "       hearth recipe copy NAME FILE  start your own from one\n"
      "       hearth recipe check FILE [--set key=value ...]\n"
      "                                     what train would refuse before it reads\n"
      "                                     texts or needs ranks; else the recipe with\n"
      "                                     every default filled in\n"
      "       hearth recipe keys            every key a recipe may have\n";
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    std::fputs(usage.c_str(), stdout);
    return 0;
  }
  const std::string what = words.empty() ? "" : words[0];
  if (what == "list" && words.size() == 1) return list();
  if (what == "keys" && words.size() == 1) {
    std::fputs(describe_keys().c_str(), stdout);
    return 0;
  }
  if (what == "show" && words.size() == 2) {
    std::fputs(read_text(recipe_named(words[1])).c_str(), stdout);
    return 0;
  }
  if (what == "copy" && words.size() == 3) return copy(words[1], words[2]);
  if (what == "check" && words.size() >= 2) {
    Options options("recipe check FILE [--set key=value ...]",
                    "Says what train would refuse before it reads the texts or needs ranks: mistakes in the recipe, a "
                    "model, tokenizer or\n"
                    "output folder that does not suit. Else prints the recipe with every default filled in.",
                    {"check", "FILE"});
    options.add()("set", boost::program_options::value<std::vector<std::string>>()->composing(), "key=value");
    if (!options.parse(words)) return 0;
    return check(options.text("FILE"), options.has("set") ? options.as<std::vector<std::string>>("set") : Words());
  }
  const Words forms = {"list", "show", "copy", "check", "keys"};
  const bool known = what.empty() || std::find(forms.begin(), forms.end(), what) != forms.end();
  if (!known) fail(Kind::usage, "`recipe` has no `{}`{}\n{}", what, meant(what, forms), usage);
  fail(Kind::usage, "recipe needs one of these forms:\n{}", usage);
}

}  // namespace hearth

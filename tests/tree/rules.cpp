#include "tree/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

namespace hearth::test {
namespace {

// Where a folder's includes may point: whole folders end with a slash, single headers do not.
const std::map<std::string, std::vector<std::string>>& directions() {
  static const std::map<std::string, std::vector<std::string>> arrows = {
      {"base", {"base/"}},
      {"kernels", {"base/", "kernels/"}},
      {"data", {"base/", "data/"}},
      {"parallel", {"base/", "kernels/ops.h", "parallel/"}},
      {"model", {"base/", "kernels/", "parallel/communicator.h", "model/"}},
      {"optim", {"base/", "kernels/", "optim/"}},
      {"trainer", {"base/", "kernels/", "data/", "parallel/", "model/", "optim/", "trainer/"}},
      {"serve",
       {"base/", "kernels/", "parallel/communicator.h", "model/", "data/tokenizer/", "data/template.h", "serve/"}},
      {"launch", {"base/", "kernels/", "data/", "parallel/", "model/", "optim/", "trainer/", "serve/", "launch/"}},
  };
  return arrows;
}

std::string folder_of(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string without_comment(const std::string& line) {
  return line.substr(0, line.find("//"));
}

bool is_code(std::string_view path) {
  return path.ends_with(".h") || path.ends_with(".cpp");
}

// A `static` or `thread_local` that is neither a function, nor constant, nor a cast or an assertion.
bool is_mutable_static(const std::string& line) {
  static const std::regex storage(R"(^\s*(inline\s+)?(static|thread_local)\s)");
  static const std::regex constant(R"(\b(const|constexpr|constinit\s+const)\b)");
  if (!std::regex_search(line, storage)) return false;
  const std::string declaration = line.substr(0, line.find_first_of("={;"));
  if (std::regex_search(declaration, constant)) return false;
  return declaration.find('(') == std::string::npos && line.find_first_of("={;") != std::string::npos;
}

struct Habit {
  std::regex wrong;
  std::string why;
  std::vector<std::string> where_allowed;  // prefixes of paths
};

const std::vector<Habit>& habits() {
  static const std::vector<Habit> all = {
      {std::regex(R"(\b(secure_)?getenv\s*\()"),
       "reads the environment outside launch/bootstrap",
       {"launch/bootstrap", "tests/"}},
      {std::regex(R"("(/home/|/root/|/Users/|/mnt/|/opt/))"), "holds a path of one machine", {"tests/tree/"}},
      {std::regex(R"(\b(TODO|FIXME|XXX)\b)"), "notes something left undone", {"tests/tree/"}},
      {std::regex(R"(\b(GTEST_SKIP|DISABLED_))"), "switches a test off", {"tests/tree/"}},
  };
  return all;
}

bool starts_with_any(std::string_view path, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) { return path.starts_with(prefix); });
}

}  // namespace

Complaints check_includes(const Source& source) {
  static const std::regex include(R"re(^\s*#\s*include\s+"([^"]+)")re");
  Complaints complaints;
  const std::string folder = folder_of(source.path);
  if (folder == "tests") return complaints;  // tests see everything, and their own helpers beside them
  if (!directions().contains(folder)) {
    complaints.push_back(fmt::format("{}:1: the folder {} has no place in the design", source.path, folder));
    return complaints;
  }
  int number = 0;
  for (const std::string& line : lines_of(source.text)) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    const std::string target = match[1];
    const bool from_root = directions().contains(folder_of(target)) && target.find('/') != std::string::npos;
    if (!from_root) {
      complaints.push_back(fmt::format("{}:{}: \"{}\" is not written from the root", source.path, number, target));
      continue;
    }
    const auto& allowed = directions().at(folder);
    const bool points_down = std::any_of(allowed.begin(), allowed.end(), [&](const std::string& arrow) {
      return arrow.ends_with('/') ? target.starts_with(arrow) : target == arrow;
    });
    if (!points_down)
      complaints.push_back(fmt::format("{}:{}: {} may not include \"{}\"", source.path, number, folder, target));
  }
  return complaints;
}

std::map<std::string, std::string> library_folders(const std::vector<Source>& cmake_files) {
  static const std::regex declaration(R"(\bhearth_library\(\s*([a-z0-9_]+))");
  std::map<std::string, std::string> folders;
  for (const Source& file : cmake_files) {
    auto begin = std::sregex_iterator(file.text.begin(), file.text.end(), declaration);
    for (auto match = begin; match != std::sregex_iterator(); ++match)
      folders["hearth_" + (*match)[1].str()] = folder_of(file.path);
  }
  return folders;
}

Complaints check_links(const Source& cmake_file, const std::map<std::string, std::string>& folders) {
  static const std::regex target(R"(\bhearth_[a-z0-9_]+)");
  static const std::set<std::string> not_folders = {"hearth_library", "hearth_test", "hearth_flags", "hearth_hdf5"};
  Complaints complaints;
  const std::string folder = folder_of(cmake_file.path);
  if (!directions().contains(folder)) return complaints;
  int number = 0;
  for (const std::string& line : lines_of(cmake_file.text)) {
    ++number;
    const std::string code = line.substr(0, line.find('#'));
    for (auto match = std::sregex_iterator(code.begin(), code.end(), target); match != std::sregex_iterator();
         ++match) {
      const auto found = folders.find(match->str());
      if (not_folders.contains(match->str()) || found == folders.end()) continue;
      const auto& allowed = directions().at(folder);
      const bool points_down = std::any_of(allowed.begin(), allowed.end(),
                                           [&](const std::string& arrow) { return folder_of(arrow) == found->second; });
      if (!points_down)
        complaints.push_back(fmt::format("{}:{}: {} may not link {} of {}/", cmake_file.path, number, folder,
                                         match->str(), found->second));
    }
  }
  return complaints;
}

Complaints check_habits(const Source& source) {
  static constexpr int most_lines = 500;
  Complaints complaints;
  if (!is_code(source.path)) return complaints;
  const bool is_header = source.path.ends_with(".h");
  const auto lines = lines_of(source.text);
  if (is_header && source.text.find("#pragma once") == std::string::npos)
    complaints.push_back(fmt::format("{}:1: a header without #pragma once", source.path));
  if (lines.size() > most_lines)
    complaints.push_back(
        fmt::format("{}:{}: more than {} lines: more than one idea", source.path, lines.size(), most_lines));
  int number = 0;
  for (const std::string& line : lines) {
    ++number;
    for (const Habit& habit : habits())
      if (!starts_with_any(source.path, habit.where_allowed) && std::regex_search(line, habit.wrong))
        complaints.push_back(fmt::format("{}:{}: {}", source.path, number, habit.why));
    const std::string code = without_comment(line);
    if (!source.path.starts_with("tests/") && is_mutable_static(code))
      complaints.push_back(fmt::format("{}:{}: a static that can change", source.path, number));
    if (is_header && code.find("using namespace") != std::string::npos)
      complaints.push_back(fmt::format("{}:{}: a header opens a namespace for everybody", source.path, number));
  }
  return complaints;
}

bool is_built(std::string_view name, const Source& cmake_file) {
  std::size_t at = 0;
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; };
  const std::string& text = cmake_file.text;
  while ((at = text.find(name, at)) != std::string::npos) {
    const std::size_t end = at + name.size();
    const bool starts = at == 0 || !is_word(text[at - 1]);
    const bool ends = end == text.size() || !is_word(text[end]);
    if (starts && ends) return true;
    at = end;
  }
  return false;
}

}  // namespace hearth::test

#include "launch/options.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "launch/wrapped.h"
#include "trainer/recipe_nearest.h"

namespace hearth {

namespace po = boost::program_options;

namespace {

/// "; did you mean --data?" for an option that is not there, or nothing.
std::string meant(std::string name, const po::options_description& known) {
  name.erase(0, name.find_first_not_of('-'));
  name.erase(std::min(name.find('='), name.size()));
  std::vector<std::string> accepted;
  for (const auto& option : known.options()) accepted.push_back(option->long_name());
  std::vector<std::string> nearest = nearest_words(name, accepted);
  for (std::string& word : nearest) word.insert(0, "--");
  return nearest.empty() ? "" : fmt::format("; did you mean {}?", listed(nearest));
}

}  // namespace

Options::Options(std::string usage, std::string about, std::vector<std::string> positional)
    : usage_(std::move(usage)),
      about_(std::move(about)),
      positional_(std::move(positional)),
      visible_("options", 80, 40) {
  visible_.add_options()("help,h", "this text");
}

std::int64_t Options::whole(const std::string& name, std::int64_t least, std::int64_t most) const {
  const auto value = as<std::int64_t>(name);
  if (value < least || value > most) {
    fail(Kind::usage, "--{} {}: a whole number from {} to {}", name, value, least, most);
  }
  return value;
}

std::optional<int> Options::threads() const {
  if (!has("threads")) return std::nullopt;
  return static_cast<int>(whole("threads", 1, 1024));
}

void check_output_file(const std::string& what, const Path& file) {
  const Path folder = file.has_parent_path() ? file.parent_path() : Path(".");
  std::error_code error;
  const auto status = std::filesystem::status(folder, error);
  if (error == std::errc::permission_denied ||
      (std::filesystem::is_directory(status) && ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)) {
    fail(Kind::machine, "{}{}: cannot write to the folder {}: {}", what, file.string(), folder.string(),
         std::strerror(EACCES));
  }
  if (!std::filesystem::is_directory(status))
    fail(Kind::usage, "{}{}: there is no folder {}", what, file.string(), folder.string());
  if (std::filesystem::is_directory(file, error))
    fail(Kind::usage, "{}{}: it is a folder; name a file", what, file.string());
}

std::string Options::output(const std::string& name, const std::vector<std::string>& others) const {
  std::string file = text(name);
  check_output_file(fmt::format("--{} ", name), file);
  std::error_code ignored;
  for (const std::string& other : others) {
    if (std::filesystem::equivalent(file, other, ignored)) {
      fail(Kind::usage, "--{} {}: it would take the place of {}, which is read; name another file", name, file, other);
    }
  }
  return file;
}

bool Options::parse(const Words& words) {
  po::options_description all;
  all.add(visible_);
  po::positional_options_description order;
  for (const std::string& name : positional_) {
    all.add_options()(name.c_str(), po::value<std::string>());
    order.add(name.c_str(), 1);
  }
  try {
    namespace style = po::command_line_style;
    const int strict = style::unix_style & ~style::allow_guessing;
    po::store(po::command_line_parser(words).options(all).positional(order).style(strict).run(), values_);
    po::notify(values_);
  } catch (const po::unknown_option& error) {
    fail(Kind::usage, "there is no option {}{} (`hearth {} --help` lists them)", error.get_option_name(),
         meant(error.get_option_name(), visible_), verb());
  } catch (const po::too_many_positional_options_error&) {
    fail(Kind::usage, "too many words: usage: hearth {} (`hearth {} --help` tells more)", usage_, verb());
  } catch (const po::error& error) {
    fail(Kind::usage, "{}; `hearth {} --help` lists what it accepts", error.what(), verb());
  }
  if (has("help")) {
    std::ostringstream text;
    text << wrapped("usage: hearth " + usage_, 79, 7) << "\n\n" << wrapped(about_) << "\n\n" << visible_;
    std::fputs(text.str().c_str(), stdout);
    return false;
  }
  for (const std::string& name : positional_) {
    if (!has(name)) fail(Kind::usage, "{} needs {}: usage: hearth {}", verb(), name, usage_);
  }
  return true;
}

}  // namespace hearth

#include "launch/options.h"

#include <cstdio>
#include <sstream>
#include <utility>

namespace hearth {

namespace po = boost::program_options;

Options::Options(std::string usage, std::string about, std::vector<std::string> positional)
    : usage_(std::move(usage)),
      about_(std::move(about)),
      positional_(std::move(positional)),
      visible_("options", 100, 50) {
  visible_.add_options()("help,h", "this text");
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
  } catch (const po::error& error) {
    fail(Kind::usage, "{}; `hearth {} --help` lists what it accepts", error.what(), verb());
  }
  if (has("help")) {
    std::ostringstream text;
    text << "usage: hearth " << usage_ << "\n\n" << about_ << "\n\n" << visible_;
    std::fputs(text.str().c_str(), stdout);
    return false;
  }
  for (const std::string& name : positional_) {
    if (!has(name)) fail(Kind::usage, "{} needs {}: usage: hearth {}", verb(), name, usage_);
  }
  return true;
}

}  // namespace hearth

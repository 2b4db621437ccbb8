#include "launch/wrapped.h"

#include <sstream>

namespace hearth {

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::istringstream lines{std::string(text)};
  std::string out, line;
  std::size_t column = 0;  // of the line that is being filled; 0: none is
  bool begun = false;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == ' ') {
      out += (begun ? "\n" : "") + line;
      column = 0;
    } else {
      if (begun && column == 0) out += '\n';
      std::istringstream words(line);
      for (std::string word; words >> word;) {
        if (column > 0 && column + 1 + word.size() > width) {
          out += '\n' + std::string(indent, ' ') + word;
          column = indent + word.size();
        } else {
          out += (column > 0 ? " " : "") + word;
          column += (column > 0 ? 1 : 0) + word.size();
        }
      }
    }
    begun = true;
  }
  return out;
}

}  // namespace hearth

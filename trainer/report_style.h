// The looks of the report.
#pragma once

#include <string_view>

namespace hearth {

/// One style sheet: light, dark where the reader's system is, and plain on paper.
std::string_view report_style();

}  // namespace hearth

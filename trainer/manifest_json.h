// MANIFEST.json as text and back.
#pragma once

#include <string>
#include <string_view>

#include "trainer/manifest.h"

namespace hearth {

/// Reads the text of a manifest whose digest was compared before; `place` names it in messages. Every field is checked:
/// types, names, dims, pieces that tile, offsets within their files. Throws Kind::integrity; for a format version that
/// this program does not know, Kind::data.
Manifest parse_manifest(std::string_view text, const std::string& place);

}  // namespace hearth

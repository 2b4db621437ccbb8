// Rows of f32 in a file, read with few calls.
#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"

namespace hearth {

/// Calls and bytes of reading.
struct ReadCount {
  std::int64_t calls = 0;
  std::int64_t bytes = 0;
};

/// `rows` rows of `columns` little-endian f32, `pitch` elements apart, the first at byte `offset` of a file.
struct FileRows {
  std::int64_t offset = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t pitch = 0;
};

/// to[i * to_pitch + j] = row i, column j. What is contiguous on both sides is read at once. Otherwise short rows are
/// read many at a time into `staging`, of at most a mebibyte, with what lies between them where that is little; long
/// rows, and rows far from each other, one by one. Adds to `count`. Throws as InFile::read.
void read_rows(const InFile& file, const FileRows& from, float* to, std::int64_t to_pitch, std::vector<float>& staging,
               ReadCount& count);

}  // namespace hearth

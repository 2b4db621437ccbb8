#include "trainer/checkpoint_rows.h"

#include <algorithm>

namespace hearth {

namespace {

constexpr std::int64_t most_staged = (std::int64_t{1} << 20) / static_cast<std::int64_t>(sizeof(float));
/// Another call costs as much as reading this many elements more: a disk reads ahead as far anyway.
constexpr std::int64_t widest_gap = (std::int64_t{16} << 10) / static_cast<std::int64_t>(sizeof(float));

class RowReader {
 public:
  RowReader(const InFile& file, const FileRows& from, ReadCount& count) : file_(file), from_(from), count_(count) {}

  /// `elements` elements from the beginning of a row on.
  void read(std::int64_t row, std::int64_t elements, float* to) {
    constexpr auto size = static_cast<std::int64_t>(sizeof(float));
    const std::int64_t offset = from_.offset + row * from_.pitch * size;
    file_.read(static_cast<std::size_t>(offset), to, static_cast<std::size_t>(elements * size));
    ++count_.calls;
    count_.bytes += elements * size;
  }

 private:
  const InFile& file_;
  const FileRows& from_;
  ReadCount& count_;
};

}  // namespace

void read_rows(const InFile& file, const FileRows& from, float* to, std::int64_t to_pitch, std::vector<float>& staging,
               ReadCount& count) {
  RowReader reader(file, from, count);
  if (from.rows == 1 || (from.pitch == from.columns && to_pitch == from.columns)) {
    reader.read(0, from.rows * from.columns, to);
    return;
  }
  const bool near = from.pitch - from.columns <= widest_gap;
  const std::int64_t fit = (most_staged - from.columns) / from.pitch + 1;
  const std::int64_t at_once = near && from.columns <= most_staged ? std::min(fit, from.rows) : 1;
  if (at_once == 1) {
    for (std::int64_t row = 0; row < from.rows; ++row) reader.read(row, from.columns, to + row * to_pitch);
    return;
  }
  for (std::int64_t first = 0; first < from.rows; first += at_once) {
    const std::int64_t rows = std::min(at_once, from.rows - first);
    const std::int64_t span = (rows - 1) * from.pitch + from.columns;  // never beyond the last row's end
    if (staging.size() < static_cast<std::size_t>(span)) staging.resize(static_cast<std::size_t>(span));
    reader.read(first, span, staging.data());
    for (std::int64_t row = 0; row < rows; ++row) {
      std::copy_n(staging.data() + row * from.pitch, from.columns, to + (first + row) * to_pitch);
    }
  }
}

}  // namespace hearth

#include "data/corpus.h"

#include <algorithm>

#include "base/error.h"
#include "data/stream.h"

namespace hearth {

namespace {

constexpr std::size_t byte_order_mark_size = 3;

/// Rows whose first byte lies in [first, last), counted over all files laid end to end.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// What a file takes of that line: one more than its bytes, so that an empty file has a place too.
std::uint64_t extent(const SourceFile& file) {
  return file.bytes + 1;
}

Range range_of(const Sources& sources, int part, int parts) {
  std::uint64_t total = 0;
  for (const SourceFile& file : sources.files) total += extent(file);
  const auto cut = [&](int k) {  // total * k / parts without overflow
    const auto n = static_cast<std::uint64_t>(parts);
    const auto i = static_cast<std::uint64_t>(k);
    return total / n * i + total % n * i / n;
  };
  return {cut(part), cut(part + 1)};
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

class Walk {
 public:
  Walk(const Sources& sources, std::int64_t vocabulary, const RowVisitor& visit)
      : sources_(sources), vocabulary_(vocabulary), visit_(visit), counts_(sources.datasets.size()) {}

  /// Rows of a file that begin in [first, last), offsets within the file.
  void file(int index, std::uint64_t first, std::uint64_t last) {
    const SourceFile& file = sources_.files[static_cast<std::size_t>(index)];
    if (file.container != Container::document) {
      lines(file, index, first, last);
    } else if (first == 0) {
      document(file, index);
    }
  }

  std::vector<WalkCounts> counts() && { return std::move(counts_); }

 private:
  void document(const SourceFile& file, int index) {
    RawRow row;
    row.text = read_text(file.path);
    if (row.text.size() != file.bytes) fail(Kind::data, "{} changed while it was read", file.path.string());
    if (file.byte_order_mark) row.text.erase(0, byte_order_mark_size);
    auto complaint = utf8_complaint(row.text, 1, file.byte_order_mark ? byte_order_mark_size : 0);
    visit_({index, 1}, row, complaint);
  }

  void lines(const SourceFile& file, int index, std::uint64_t first, std::uint64_t last) {
    const auto dataset = static_cast<std::size_t>(file.dataset);
    RowParser parser(file.format, sources_.datasets[dataset].columns, vocabulary_);
    LineReader reader(file.path, file.container);
    RawRow row;
    last = std::min(last, file.bytes);
    while (reader.next() && reader.offset() < last) {
      if (reader.offset() < first) continue;
      std::string_view line = reader.line();
      const bool marked = reader.number() == 1 && file.byte_order_mark;
      if (marked) line.remove_prefix(byte_order_mark_size);
      if (is_blank(line)) {
        ++counts_[dataset].blank_lines;
        continue;
      }
      auto complaint = utf8_complaint(line, reader.number(), reader.offset() + (marked ? byte_order_mark_size : 0));
      if (!complaint) complaint = parser.parse(line, row, counts_[dataset].unknown_columns);
      visit_({index, reader.number()}, row, complaint);
    }
  }

  const Sources& sources_;
  std::int64_t vocabulary_;
  const RowVisitor& visit_;
  std::vector<WalkCounts> counts_;
};

}  // namespace

std::vector<WalkCounts> walk_rows(const Sources& sources, int part, int parts, std::int64_t vocabulary,
                                  const RowVisitor& visit) {
  require(part >= 0 && part < parts, "a part is one of the parts");
  Walk walk(sources, vocabulary, visit);
  const Range range = range_of(sources, part, parts);
  std::uint64_t base = 0;
  for (std::size_t i = 0; i < sources.files.size(); ++i) {
    const std::uint64_t end = base + extent(sources.files[i]);
    const std::uint64_t first = std::max(base, range.first);
    const std::uint64_t last = std::min(end, range.last);
    if (first < last) walk.file(static_cast<int>(i), first - base, last - base);
    base = end;
  }
  return std::move(walk).counts();
}

void walk_texts(const Sources& sources, const std::function<void(std::string_view)>& visit) {
  walk_rows(sources, 0, 1, 0, [&](const RowPlace& place, RawRow& row, std::optional<Complaint>& complaint) {
    if (complaint)
      fail(Kind::data, "{}: {}: {}",
           place_text(sources.files[static_cast<std::size_t>(place.file)], static_cast<std::int64_t>(place.line)),
           complaint->reason, complaint->detail);
    if (row.format == Format::text) visit(row.text);
    if (row.format == Format::prompt_completion) {
      visit(row.prompt);
      visit(row.completion);
    }
  });
}

}  // namespace hearth

#include "data/counts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace hearth {

namespace {

using Json = nlohmann::json;

/// 1234567 as 1,234,567.
std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

/// "1 row", "2 rows".
std::string counted(std::int64_t number, const char* what) {
  return fmt::format("{} {}{}", grouped(number), what, number == 1 ? "" : "s");
}

std::string list_of(const std::map<std::string, std::int64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, grouped(count));
  return text;
}

std::string text_of(const ReadCounts& read) {
  const DatasetCounts& counts = read.counts;
  std::string text = fmt::format("{}: files {} ({}), rows {}, documents {}, tokens {}, trained {}\n", read.path,
                                 grouped(read.files), list_of(read.formats), grouped(counts.rows),
                                 grouped(counts.documents), grouped(counts.tokens), grouped(counts.trained));
  const auto line = [&](const char* what, const std::string& list) {
    if (!list.empty()) text += fmt::format("  {}: {}\n", what, list);
  };
  line("bad rows, left out", list_of(counts.bad));
  line("columns not used (rows that have them)", list_of(counts.unknown_columns));
  line("files not read", list_of(read.notes.skipped));
  if (read.notes.beyond_max_samples > 0) line("files beyond max_samples", grouped(read.notes.beyond_max_samples));
  if (read.byte_order_marks > 0) line("byte order marks taken off", grouped(read.byte_order_marks));
  if (counts.blank_lines > 0) line("blank lines passed over", grouped(counts.blank_lines));
  return text;
}

std::string text_of(const char* name, const SetCounts& set) {
  std::string text = fmt::format("{}: {} of at most {}, {:.1f} % filled; {}, {} trained, longest row {}\n", name,
                                 counted(set.rows, "row"), counted(set.cutoff_len, "token"), 100 * set.fill(),
                                 counted(set.tokens, "token"), grouped(set.trained), grouped(set.longest_row));
  for (const auto& [reason, lost] : set.dropped) {
    text += fmt::format("  left out ({}): {}, {}\n", reason, counted(lost.rows, "row"), counted(lost.tokens, "token"));
  }
  if (set.truncated.rows > 0)
    text += fmt::format("  truncated: {}, {} cut off\n", counted(set.truncated.rows, "row"),
                        counted(set.truncated.tokens, "token"));
  if (set.split > 0) text += fmt::format("  split: {}\n", counted(set.split, "document"));
  return text;
}

Json json_of(const std::vector<ReadCounts>& reads) {
  Json list = Json::array();
  for (const ReadCounts& read : reads) {
    list.push_back({{"path", read.path},
                    {"files", read.files},
                    {"formats", read.formats},
                    {"byte_order_marks", read.byte_order_marks},
                    {"files_not_read", read.notes.skipped},
                    {"files_beyond_max_samples", read.notes.beyond_max_samples},
                    {"rows", read.counts.rows},
                    {"documents", read.counts.documents},
                    {"tokens", read.counts.tokens},
                    {"trained_tokens", read.counts.trained},
                    {"blank_lines", read.counts.blank_lines},
                    {"bad_rows", read.counts.bad},
                    {"unused_columns", read.counts.unknown_columns}});
  }
  return list;
}

Json json_of(const SetCounts& set) {
  Json dropped = Json::object();
  for (const auto& [reason, lost] : set.dropped) dropped[reason] = {{"rows", lost.rows}, {"tokens", lost.tokens}};
  return {{"documents", set.documents},
          {"given_tokens", set.given_tokens},
          {"dropped", dropped},
          {"truncated", {{"rows", set.truncated.rows}, {"tokens", set.truncated.tokens}}},
          {"split", set.split},
          {"pieces", set.pieces},
          {"rows", set.rows},
          {"tokens", set.tokens},
          {"trained_tokens", set.trained},
          {"longest_row", set.longest_row},
          {"cutoff_len", set.cutoff_len},
          {"fill", set.fill()}};
}

}  // namespace

std::string Counts::text() const {
  std::string text;
  for (const ReadCounts& one : read) text += text_of(one);
  for (const ReadCounts& one : read_eval) text += text_of(one);
  text += text_of("train", train);
  if (eval.rows > 0) text += text_of("held out", eval);
  for (const std::string& remark : remarks) text += remark + "\n";
  if (!side_file.empty()) text += fmt::format("rows that were left out or cut are listed in {}\n", side_file);
  return text;
}

std::string Counts::losses() const {
  std::int64_t out = 0;
  std::int64_t cut = 0;
  for (const auto* reads : {&read, &read_eval}) {
    for (const ReadCounts& one : *reads) {
      for (const auto& [reason, rows] : one.counts.bad) out += rows;
    }
  }
  for (const SetCounts* set : {&train, &eval}) {
    for (const auto& [reason, lost] : set->dropped) out += lost.rows;
    cut += set->truncated.rows;
  }
  if (out == 0 && cut == 0) return "";
  std::string text;
  if (out > 0) text = counted(out, "row") + (out == 1 ? " was left out" : " were left out");
  if (cut > 0) text += (out > 0 ? ", " : "") + counted(cut, "row") + (cut == 1 ? " was cut short" : " were cut short");
  return side_file.empty() ? text : fmt::format("{}: see {}", text, side_file);
}

std::string Counts::json() const {
  Json all = {{"datasets", json_of(read)}, {"train", json_of(train)}, {"store", store}, {"remarks", remarks}};
  if (!read_eval.empty()) all["eval_datasets"] = json_of(read_eval);
  if (!eval_store.empty()) all["eval_store"] = eval_store;
  if (eval.rows > 0) all["eval"] = json_of(eval);
  if (!side_file.empty()) all["side_file"] = side_file;
  return all.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::vector<ReadCounts> read_counts(const Sources& sources, const TokenStore& store) {
  std::vector<ReadCounts> reads;
  for (std::size_t i = 0; i < sources.datasets.size(); ++i) {
    ReadCounts read;
    read.path = sources.datasets[i].path;
    read.notes = sources.notes[i];
    read.counts = store.counts().at(i);
    for (const SourceFile& file : sources.files) {
      if (file.dataset != static_cast<int>(i)) continue;
      ++read.files;
      ++read.formats[std::string(name_of(file.format))];
      read.byte_order_marks += file.byte_order_mark ? 1 : 0;
    }
    reads.push_back(std::move(read));
  }
  return reads;
}

}  // namespace hearth

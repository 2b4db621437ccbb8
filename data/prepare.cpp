#include "data/prepare.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "data/select.h"
#include "data/store_files.h"
#include "data/store_writer.h"
#include "data/stream.h"

namespace hearth {

namespace {

constexpr const char* side_name = "left_out_rows.jsonl";

/// Sources, and the store they became.
struct Loaded {
  Sources sources;
  std::shared_ptr<const TokenStore> store;

  std::string place(const BadRow& row) const {
    const auto file = static_cast<std::size_t>(row.file);
    if (file >= sources.files.size()) return fmt::format("an unknown file, line {}", row.line);
    return place_text(sources.files[file], row.line);
  }
  std::string place(std::int64_t document) const {
    return place(BadRow{store->file(document), store->line(document), "", ""});
  }
};

Loaded load(Sources sources, const DataOptions& options, const Encoder* encoder, const Together& together) {
  Loaded loaded;
  loaded.sources = std::move(sources);
  const StoreRequest request = {&loaded.sources, encoder, options.rules, options.vocabulary};
  loaded.store = open_or_build_store(options.cache_dir, request, together);
  return loaded;
}

/// Writes the side file line by line; it exists only once there is a line.
class SideFile {
 public:
  SideFile(Path path, bool mine) : path_(std::move(path)), mine_(mine) {}

  void bad_rows(const Loaded& loaded) {
    if (loaded.store->bad_rows() == 0) return;
    LineReader lines(loaded.store->folder() / store_files::bad_rows_name, Container::lines);
    while (lines.next()) {
      const BadRow row = store_files::bad_row_from(lines.line(), loaded.store->folder() / store_files::bad_rows_name);
      const auto file = static_cast<std::size_t>(row.file);
      const std::string name = file < loaded.sources.files.size() ? loaded.sources.files[file].path.string() : "";
      line({{"file", name}, {"line", row.line}, {"what", "bad row"}, {"reason", row.reason}, {"detail", row.detail}});
    }
  }

  void left_out(const Loaded& loaded, const std::vector<LeftOut>& list, const char* set) {
    for (const LeftOut& one : list) {
      const auto file = static_cast<std::size_t>(loaded.store->file(one.piece.document));
      line({{"file", loaded.sources.files.at(file).path.string()},
            {"line", loaded.store->line(one.piece.document)},
            {"set", set},
            {"what", one.what},
            {"reason", one.reason},
            {"first_token", one.piece.first},
            {"length", one.piece.count},
            {"tokens_lost", one.tokens}});
    }
  }

  /// Puts the file in its place, or removes one of an earlier run. Returns its name, or "" when it has no lines.
  std::string close() {
    if (mine_ && out_) out_->commit();
    if (mine_ && !any_) std::filesystem::remove(path_);
    return any_ ? path_.string() : "";
  }

 private:
  void line(const nlohmann::ordered_json& content) {
    any_ = true;
    if (!mine_) return;
    if (!out_) {
      make_folder(path_.parent_path());
      out_.emplace(path_);
    }
    out_->write(content.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

  Path path_;
  bool mine_;
  bool any_ = false;
  std::optional<OutFile> out_;
};

/// The rows of one set, and the story of how they became.
struct Chosen {
  Plan plan;
  std::vector<LeftOut> left_out;
  std::int64_t untrained = 0;
  SetCounts counts;
};

Chosen choose(const Loaded& loaded, const DataOptions& options, const std::vector<Piece>& pieces) {
  Selection selection = select(*loaded.store, loaded.sources, options, pieces);
  Chosen chosen;
  chosen.left_out = std::move(selection.left_out);
  chosen.untrained = selection.untrained;
  chosen.plan = without_untrained_rows(*loaded.store, pack(selection.pieces, options.packing, options.cutoff_len),
                                       chosen.left_out);
  SetCounts& counts = chosen.counts;
  counts.documents = static_cast<std::int64_t>(pieces.size());
  for (const Piece& piece : pieces) counts.given_tokens += piece.count;
  counts.pieces = static_cast<std::int64_t>(chosen.plan.pieces.size());
  counts.cutoff_len = options.cutoff_len;
  for (const LeftOut& one : chosen.left_out) {
    if (one.what == "split") {
      ++counts.split;
      continue;
    }
    Lost& lost = one.what == "truncated" ? counts.truncated : counts.dropped[one.reason];
    ++lost.rows;
    lost.tokens += one.tokens;
  }
  return chosen;
}

Dataset finished(const Loaded& loaded, Chosen& chosen, const DataOptions& options) {
  Dataset dataset(loaded.store, std::move(chosen.plan), options.vocabulary);
  chosen.counts.rows = dataset.rows();
  chosen.counts.tokens = dataset.tokens();
  chosen.counts.trained = dataset.trained();
  chosen.counts.longest_row = dataset.longest_row();
  return dataset;
}

/// The first of the rows that have no trained token, a line each with its place.
std::string untrained_rows(const Loaded& loaded, const std::vector<LeftOut>& left_out, std::int64_t& most) {
  std::string lines;
  for (const LeftOut& one : left_out) {
    if (one.reason != no_trained_token || most == 0) continue;
    --most;
    lines += fmt::format("\n  {}: {}", loaded.place(one.piece.document), one.reason);
  }
  return lines;
}

/// `sets`: what became of these rows.
void refuse_bad_rows(const Loaded& loaded, const DataOptions& options, std::initializer_list<const Chosen*> sets,
                     const std::string& side_file) {
  std::int64_t bad = loaded.store->bad_rows();
  for (const Chosen* set : sets) bad += set->untrained;
  if (bad == 0) return;
  const bool dropped = options.bad_rows == BadRows::drop;
  if (dropped && bad <= *options.bad_rows_limit) return;
  std::string first;
  std::int64_t most = 5;
  for (const BadRow& row : loaded.store->first_bad_rows(static_cast<std::size_t>(most))) {
    first += fmt::format("\n  {}: {}: {}", loaded.place(row), row.reason, row.detail);
    --most;
  }
  for (const Chosen* set : sets) first += untrained_rows(loaded, set->left_out, most);
  const std::string rows = bad == 1 ? "1 row" : fmt::format("{} rows", bad);
  if (!options.by_recipe) {
    fail(Kind::data, "{} cannot be used{}:{}\nMend {}", rows, bad > 5 ? ", the first of them" : "", first,
         bad == 1 ? "it" : "them");
  }
  fail(Kind::data,
       "{} cannot be used{}:{}\nAll of them are listed in {}. Mend them, or set bad_rows: drop and "
       "bad_rows_limit: {} to leave them out",
       rows, dropped ? fmt::format(", more than bad_rows_limit {}", *options.bad_rows_limit) : "", first, side_file,
       bad);
}

void refuse_wrapping(const Loaded& loaded, const DataOptions& options) {
  if (options.packing != Packing::wrapped) return;
  for (const SourceFile& file : loaded.sources.files) {
    if (file.format == Format::text || (file.format == Format::tokens && options.rules.stage == DataStage::pt))
      continue;
    fail(Kind::usage,
         "{} holds rows of format {}: packing: wrapped would cut them anywhere, answers away from their prompts; "
         "choose packing: bfd or none",
         file.path.string(), name_of(file.format));
  }
}

/// What was looked for, and what was there: a line for each dataset.
std::string found_in(const Loaded& loaded) {
  std::string lines;
  std::size_t dataset = 0;
  for (const ReadCounts& read : read_counts(loaded.sources, *loaded.store)) {
    std::uint64_t bytes = 0;
    for (const SourceFile& file : loaded.sources.files) {
      if (file.dataset == static_cast<int>(dataset)) bytes += file.bytes;
    }
    ++dataset;
    lines += fmt::format("\n  {}: {}, {}", read.path, counted(read.files, "file"),
                         bytes > 0         ? counted(static_cast<std::int64_t>(bytes), "byte")
                         : read.files == 1 ? "empty"
                                           : "all of them empty");
    if (read.counts.blank_lines > 0) lines += ", " + counted(read.counts.blank_lines, "blank line");
    for (const auto& [reason, rows] : read.counts.bad)
      lines += fmt::format(", {} ({})", counted(rows, "bad row"), reason);
    for (const auto& [ending, files] : read.notes.skipped)
      lines += fmt::format(", {} not read ({})", counted(files, "file"), ending);
  }
  return lines;
}

void refuse_empty(const Loaded& loaded, const char* key, const std::string& side_file) {
  if (loaded.store->documents() > 0) return;
  const std::string listed = side_file.empty() ? "" : fmt::format(" (bad rows are listed in {})", side_file);
  fail(Kind::data,
       "the corpus is empty: no usable row in{}\nWrite texts or rows into these files, or name others in {}{}",
       found_in(loaded), key, listed);
}

/// Whether every row that there is says nothing, so that leaving rows out would not help.
bool says_nothing(const Loaded& loaded) {
  if (loaded.store->documents() > 0) return false;
  for (const DatasetCounts& counts : loaded.store->counts()) {
    for (const auto& [reason, rows] : counts.bad) {
      if (reason != "empty row" && rows > 0) return false;
    }
  }
  return true;
}

/// What helps against rows that were left out for a reason.
std::string remedy_for(const std::string& reason) {
  if (reason == "longer than cutoff_len") return "raise cutoff_len, or say overflow: truncate or split";
  return "a row needs a token behind its first one that is trained: a completion, labels other than -100, a text of "
         "two "
         "tokens";
}

void refuse_nothing_left(const SetCounts& set, const char* purpose, const std::string& side_file) {
  if (set.pieces > 0) return;
  std::string reasons;
  for (const auto& [reason, lost] : set.dropped)
    reasons += fmt::format("\n  {}: {}; {}", counted(lost.rows, "row"), reason, remedy_for(reason));
  fail(Kind::data, "no row is left for {}: of {} every one was left out:{}{}", purpose,
       counted(set.documents, "document"), reasons,
       side_file.empty() ? "" : fmt::format("\nAll of them are listed in {}", side_file));
}

void refuse_short(const SetCounts& train, const DataOptions& options) {
  if (options.packing != Packing::wrapped || train.given_tokens >= options.cutoff_len) return;
  fail(Kind::data,
       "the corpus is shorter than one row: {} tokens, and cutoff_len is {}; lower cutoff_len, or use packing: none",
       train.given_tokens, options.cutoff_len);
}

void remark_on(const Loaded& loaded, const Encoder* encoder, const DataOptions& options,
               std::vector<std::string>& remarks) {
  bool text = false;
  bool tokens = false;
  bool pairs = false;
  for (const SourceFile& file : loaded.sources.files) {
    (file.format == Format::tokens ? tokens : text) = true;
    pairs = pairs || file.format == Format::prompt_completion;
  }
  if (text && encoder != nullptr && !encoder->end())
    remarks.push_back("documents get no end token: the tokenizer names none");
  if (tokens && options.rules.stage == DataStage::sft && (encoder == nullptr || !encoder->end())) {
    remarks.push_back("tokenised rows were not checked for a trained end token: no tokenizer names one");
  }
  if (options.rules.train_prompt && !pairs) {
    remarks.push_back(fmt::format(
        "train_on.prompt changes nothing about what is trained: {}",
        tokens ? "tokenised rows say themselves which tokens are trained" : "documents of text are trained whole"));
  }
}

/// The two sets on their way from documents to datasets.
class Draft {
 public:
  Draft(const Loaded& data, const Loaded& eval_data, const DataOptions& options)
      : data_(data), eval_data_(eval_data), options_(options), other_eval_(!options.eval_datasets.empty()) {}

  Prepared prepared(const Encoder* encoder, bool first_part) && {
    refuse_wrapping(data_, options_);
    refuse_wrapping(eval_data_, options_);
    choose_sets();
    const std::string side_file = options_.by_recipe ? write_side_file(first_part) : "";
    refuse(side_file);
    Dataset train = finished(data_, train_, options_);
    std::optional<Dataset> eval;
    if (has_eval()) eval = finished(eval_data_, eval_, options_);
    return {std::move(train), std::move(eval), counts(encoder, side_file)};
  }

 private:
  bool has_eval() const { return other_eval_ || options_.val_size > 0; }

  void choose_sets() {
    std::vector<Piece> train, eval;
    if (options_.val_size > 0 && data_.store->documents() > 0) {
      std::tie(train, eval) = hold_out(*data_.store, data_.sources, options_);
    } else {
      train = whole_documents(*data_.store);
      if (other_eval_) eval = whole_documents(*eval_data_.store);
    }
    train_ = choose(data_, options_, train);
    eval_ = choose(eval_data_, options_, eval);
  }

  std::string write_side_file(bool first_part) const {
    const Path folder = options_.side_folder.empty() ? options_.cache_dir : options_.side_folder;
    SideFile side(folder / side_name, first_part);
    side.bad_rows(data_);
    if (other_eval_) side.bad_rows(eval_data_);
    side.left_out(data_, train_.left_out, "train");
    side.left_out(eval_data_, eval_.left_out, "eval");
    return side.close();
  }

  void refuse(const std::string& side_file) const {
    if (says_nothing(data_)) refuse_empty(data_, "datasets", side_file);
    if (says_nothing(eval_data_)) refuse_empty(eval_data_, "eval_dataset", side_file);
    if (other_eval_) {
      refuse_bad_rows(data_, options_, {&train_}, side_file);
      refuse_bad_rows(eval_data_, options_, {&eval_}, side_file);
    } else {
      refuse_bad_rows(data_, options_, {&train_, &eval_}, side_file);
    }
    refuse_empty(data_, "datasets", side_file);
    refuse_empty(eval_data_, "eval_dataset", side_file);
    refuse_nothing_left(train_.counts, "training", side_file);
    if (has_eval()) refuse_nothing_left(eval_.counts, "evaluation", side_file);
    refuse_short(train_.counts, options_);
  }

  Counts counts(const Encoder* encoder, const std::string& side_file) const {
    Counts counts;
    counts.read = read_counts(data_.sources, *data_.store);
    if (other_eval_) counts.read_eval = read_counts(eval_data_.sources, *eval_data_.store);
    counts.train = train_.counts;
    counts.eval = eval_.counts;
    counts.store = data_.store->folder().string();
    if (other_eval_) counts.eval_store = eval_data_.store->folder().string();
    counts.side_file = side_file;
    remark_on(data_, encoder, options_, counts.remarks);
    return counts;
  }

  const Loaded& data_;
  const Loaded& eval_data_;
  const DataOptions& options_;
  bool other_eval_;
  Chosen train_, eval_;
};

}  // namespace

std::vector<std::string> complaints(const DataOptions& options) {
  std::vector<std::string> all;
  if (options.datasets.empty()) all.emplace_back("datasets: name at least one file or folder");
  if (options.cutoff_len < 2)
    all.push_back(fmt::format("cutoff_len {}: a row needs at least 2 tokens", options.cutoff_len));
  if (options.val_size < 0 || (options.val_size >= 1 && options.val_size != std::floor(options.val_size)) ||
      !std::isfinite(options.val_size)) {
    all.push_back(fmt::format("val_size {}: give a share below 1 or a whole number of rows", options.val_size));
  }
  if (options.val_size > 0 && !options.eval_datasets.empty())
    all.emplace_back("val_size and eval_dataset: both name held-out rows; give one");
  if (options.bad_rows == BadRows::drop && !options.bad_rows_limit)
    all.emplace_back("bad_rows: drop needs bad_rows_limit, the most rows that may be left out");
  if (options.bad_rows_limit && *options.bad_rows_limit < 0)
    all.push_back(fmt::format("bad_rows_limit {}: cannot be negative", *options.bad_rows_limit));
  return all;
}

Prepared prepare(const DataOptions& options, const Encoder* encoder, const Together& together) {
  for (const std::string& complaint : complaints(options)) fail_everywhere(Kind::usage, "{}", complaint);
  const Loaded data =
      load(options.found ? *options.found : find_sources(options.datasets, together), options, encoder, together);
  const bool other_eval = !options.eval_datasets.empty();
  const Loaded eval_data =
      other_eval ? load(find_sources(options.eval_datasets, together), options, encoder, together) : data;
  std::optional<Prepared> prepared;
  all_or_none(together,
              [&] { prepared.emplace(Draft(data, eval_data, options).prepared(encoder, together.part == 0)); });
  return std::move(*prepared);
}

}  // namespace hearth

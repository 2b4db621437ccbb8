#include "data/store_writer.h"

#include <exception>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/sha384.h"
#include "data/corpus.h"
#include "data/hdf5.h"
#include "data/store_files.h"

namespace hearth {

namespace {

namespace fs = std::filesystem;

std::string part_file(int part, const char* ending) {
  return fmt::format("part-{:05}{}", part, ending);
}

/// Integers on their way to a dataset whose length is not known yet: written to a file of their own, then read back.
class Spool {
 public:
  explicit Spool(const Path& path) : path_(path), out_(std::in_place, path) { waiting_.reserve(most); }
  ~Spool() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void add(std::span<const std::int32_t> values) {
    waiting_.insert(waiting_.end(), values.begin(), values.end());
    count_ += static_cast<std::int64_t>(values.size());
    if (waiting_.size() >= most) flush();
  }
  std::int64_t count() const { return count_; }

  /// Ends the writing and moves everything into a dataset.
  void move_to(hdf5::OutputFile& file, const std::string& name) {
    flush();
    out_->commit();
    out_.reset();
    const InFile in(path_);
    std::vector<std::int32_t> piece;
    file.tokens(name, count_, [&](std::int64_t first, std::int64_t count) {
      piece.resize(static_cast<std::size_t>(count));
      in.read(static_cast<std::size_t>(first) * 4, piece.data(), piece.size() * 4);
      return std::span<const std::int32_t>(piece);
    });
    std::filesystem::remove(path_);
  }

 private:
  static constexpr std::size_t most = std::size_t{1} << 20;

  void flush() {
    out_->write(waiting_.data(), waiting_.size() * 4);
    waiting_.clear();
  }

  Path path_;
  std::optional<OutFile> out_;
  std::vector<std::int32_t> waiting_;
  std::int64_t count_ = 0;
};

/// The lists of a part or of a whole index, one entry a document (and one more for the starts).
struct Lists {
  std::vector<std::int64_t> token_starts = {0}, label_starts = {0}, trained_from, file, line;

  void write(hdf5::OutputFile& to) const {
    to.integers("token_starts", token_starts);
    to.integers("label_starts", label_starts);
    to.integers("trained_from", trained_from);
    to.integers("file", file);
    to.integers("line", line);
  }

  /// Appends those of the next part, whose starts count from its own beginning.
  void append(const hdf5::InputFile& part) {
    append(token_starts, part.integers("token_starts"));
    append(label_starts, part.integers("label_starts"));
    for (const auto& [into, name] :
         {std::pair{&trained_from, "trained_from"}, std::pair{&file, "file"}, std::pair{&line, "line"}}) {
      const std::vector<std::int64_t> more = part.integers(name);
      into->insert(into->end(), more.begin(), more.end());
    }
  }

 private:
  static void append(std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& more) {
    const std::int64_t base = starts.back();
    for (std::size_t i = 1; i < more.size(); ++i) starts.push_back(base + more[i]);
  }
};

/// Receives the rows of one part.
class PartWriter {
 public:
  PartWriter(const Path& folder, const StoreRequest& request, int part)
      : folder_(folder),
        request_(request),
        part_(part),
        tokens_(folder / part_file(part, ".tokens")),
        labels_(folder / part_file(part, ".labels")),
        bad_(folder / part_file(part, ".bad.jsonl")),
        counts_(request.sources->datasets.size()) {}

  void row(const RowPlace& place, RawRow& row, std::optional<Complaint>& complaint) {
    waiting_bytes_ += row.text.size() + row.prompt.size() + row.completion.size() + 4 * row.ids.size();
    waiting_.push_back({place, std::exchange(row, RawRow()), std::move(complaint), {}, nullptr});
    if (waiting_.size() >= 1024 || waiting_bytes_ >= (std::size_t{8} << 20)) write_waiting();
  }

  void finish(const std::vector<WalkCounts>& walked, const std::string& key) {
    write_waiting();
    for (std::size_t i = 0; i < walked.size(); ++i) {
      counts_[i].blank_lines = walked[i].blank_lines;
      counts_[i].unknown_columns = walked[i].unknown_columns;
    }
    hdf5::OutputFile file(folder_ / store_files::part_name(part_));
    file.attribute("format", std::string(store_files::format));
    file.attribute("version", store_files::version);
    file.attribute("key", key);
    tokens_.move_to(file, "tokens");
    labels_.move_to(file, "labels");
    lists_.write(file);
    file.close();
    bad_.commit();
    write_file(folder_ / part_file(part_, ".counts.json"), store_files::json_of(counts_));
    write_file(folder_ / part_file(part_, ".sha384"), sha384_of_file(folder_ / store_files::part_name(part_)));
  }

 private:
  /// A row that was read and is not written yet.
  struct Waiting {
    RowPlace place;
    RawRow row;
    std::optional<Complaint> complaint;
    Document document;
    std::exception_ptr error;
  };

  void encode(Waiting& one) const {
    try {
      if (!one.complaint) one.complaint = make_document(one.row, request_.encoder, request_.rules, one.document);
      if (!one.complaint) check_ids(one);
    } catch (...) {
      one.error = std::current_exception();
    }
  }

  /// Tokenises the waiting rows on all threads of this rank, and writes them in order.
  void write_waiting() {
#pragma omp parallel for schedule(dynamic)
    for (std::size_t i = 0; i < waiting_.size(); ++i) encode(waiting_[i]);
    for (const Waiting& one : waiting_) {
      if (one.error) std::rethrow_exception(one.error);
      write(one);
    }
    waiting_.clear();
    waiting_bytes_ = 0;
  }

  const SourceFile& file_of(const Waiting& one) const {
    return request_.sources->files[static_cast<std::size_t>(one.place.file)];
  }

  void check_ids(const Waiting& one) const {
    if (request_.vocabulary == 0) return;
    for (const std::int32_t id : one.document.tokens) {
      if (id >= 0 && id < request_.vocabulary) continue;
      fail(Kind::data,
           "{}, line {}: the tokenizer gives the id {}, and the model has {} ids: tokenizer and model do not belong "
           "together; give tokenizer_name_or_path the model's own",
           file_of(one).path.string(), one.place.line, id, request_.vocabulary);
    }
  }

  void write(const Waiting& one) {
    DatasetCounts& counts = counts_[static_cast<std::size_t>(file_of(one).dataset)];
    ++counts.rows;
    if (!one.complaint) {
      add(one.place, one.document, counts);
      return;
    }
    const auto& [reason, detail] = *one.complaint;
    ++counts.bad[reason];
    const BadRow row = {one.place.file, static_cast<std::int64_t>(one.place.line), reason, detail};
    bad_.write(store_files::json_of(row) + "\n");
  }

  void add(const RowPlace& place, const Document& document, DatasetCounts& counts) {
    const auto size = static_cast<std::int64_t>(document.tokens.size());
    tokens_.add(document.tokens);
    labels_.add(document.labels);
    lists_.token_starts.push_back(tokens_.count());
    lists_.label_starts.push_back(labels_.count());
    lists_.trained_from.push_back(document.trained_from);
    lists_.file.push_back(place.file);
    lists_.line.push_back(static_cast<std::int64_t>(place.line));
    ++counts.documents;
    counts.tokens += size;
    counts.trained += trained_tokens(document);
  }

  Path folder_;
  const StoreRequest& request_;
  int part_;
  Spool tokens_, labels_;
  OutFile bad_;
  Lists lists_;
  std::vector<DatasetCounts> counts_;
  std::vector<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
};

/// Moves the content of one file behind that of another, and removes it.
void append_file(OutFile& to, const Path& from) {
  const InFile in(from);
  std::string block(std::size_t{1} << 20, '\0');
  for (std::size_t at = 0; at < in.size(); at += block.size()) {
    block.resize(std::min(block.size(), in.size() - at));
    in.read(at, block.data(), block.size());
    to.write(block);
  }
}

}  // namespace

std::string store_key(const StoreRequest& request) {
  Sha384 digest;
  const auto field = [&](std::string_view name, std::string_view value) {
    digest.add(fmt::format("{}:{}:{}\n", name, value.size(), value));
  };
  field("format", fmt::format("{} {}", store_files::format, store_files::version));
  field("encoder", request.encoder == nullptr ? "none" : request.encoder->digest());
  field("begin", request.encoder == nullptr ? "" : std::to_string(request.encoder->begin().value_or(-1)));
  field("end", request.encoder == nullptr ? "" : std::to_string(request.encoder->end().value_or(-1)));
  field("trained", request.rules.train_prompt ? "prompt and completion" : "completion");
  field("stage", request.rules.stage == DataStage::pt ? "pt" : "sft");
  field("vocabulary", std::to_string(request.vocabulary));
  for (const DatasetSource& dataset : request.sources->datasets) {
    field("dataset", std::to_string(dataset.columns.size()));
    for (const auto& [name, column] : dataset.columns) {
      field("column", name);
      field("from", column);
    }
  }
  for (const SourceFile& file : request.sources->files) {
    field("file", fmt::format("{} {} {} {} {}", file.dataset, static_cast<int>(file.container), name_of(file.format),
                              file.bytes, file.sha384));
  }
  return digest.hex();
}

void write_part(const Path& folder, const StoreRequest& request, const Together& together) {
  for (const SourceFile& file : request.sources->files) {
    if (file.format != Format::tokens && request.encoder == nullptr) {
      fail(Kind::usage, "{} holds text, and there is no tokenizer: give tokenizer_name_or_path, or rows of input_ids",
           file.path.string());
    }
  }
  PartWriter writer(folder, request, together.part);
  const auto walked = walk_rows(*request.sources, together.part, together.parts, request.vocabulary,
                                [&](const RowPlace& place, RawRow& row, std::optional<Complaint>& complaint) {
                                  together.check();
                                  writer.row(place, row, complaint);
                                });
  writer.finish(walked, store_key(request));
}

void join_parts(const Path& folder, const std::string& key, int parts) {
  Lists lists;
  std::vector<hdf5::OutputFile::Piece> tokens, labels;
  std::vector<DatasetCounts> counts;
  std::vector<std::string> files = {store_files::index_name, store_files::bad_rows_name, store_files::counts_name};
  std::map<std::string, std::string> digests;  // of the parts, by those who wrote them
  OutFile bad(folder / store_files::bad_rows_name);
  for (int k = 0; k < parts; ++k) {
    const std::string name = store_files::part_name(k);
    const hdf5::InputFile part(folder / name);
    if (part.text("key") != key)
      fail(Kind::data,
           "{} was made of other data than the first rank's: the datasets changed while they were read; start again "
           "when "
           "nothing writes to them",
           (folder / name).string());
    lists.append(part);
    tokens.push_back({name, part.tokens("tokens").count});
    labels.push_back({name, part.tokens("labels").count});
    append_file(bad, folder / part_file(k, ".bad.jsonl"));
    const Path part_counts = folder / part_file(k, ".counts.json");
    store_files::add(counts, store_files::counts_from(read_text(part_counts), part_counts));
    fs::remove(folder / part_file(k, ".bad.jsonl"));
    fs::remove(part_counts);
    files.push_back(name);
    digests[name] = read_text(folder / part_file(k, ".sha384"));
    fs::remove(folder / part_file(k, ".sha384"));
  }
  hdf5::OutputFile index(folder / store_files::index_name);
  index.attribute("format", std::string(store_files::format));
  index.attribute("version", store_files::version);
  index.attribute("key", key);
  index.virtual_tokens("tokens", tokens);
  index.virtual_tokens("labels", labels);
  lists.write(index);
  index.close();
  bad.commit();
  write_file(folder / store_files::counts_name, store_files::json_of(counts));
  store_files::write_manifest(folder, key, parts, files, digests);
}

}  // namespace hearth

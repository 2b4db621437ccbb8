#include "data/select.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace hearth {

namespace {

const SourceFile& file_of(const TokenStore& store, const Sources& sources, std::int64_t document) {
  const std::int64_t file = store.file(document);
  if (file >= static_cast<std::int64_t>(sources.files.size())) {
    fail(Kind::data, "{}: document {} comes from file {}, and there are {}", store.folder().string(), document, file,
         sources.files.size());
  }
  return sources.files[static_cast<std::size_t>(file)];
}

[[noreturn]] void raise_overflow(const TokenStore& store, const Sources& sources, const DataOptions& options,
                                 std::vector<Piece> too_long) {
  std::stable_sort(too_long.begin(), too_long.end(), [](const Piece& a, const Piece& b) { return a.count > b.count; });
  std::string longest;
  for (std::size_t i = 0; i < std::min<std::size_t>(5, too_long.size()); ++i) {
    const Piece& piece = too_long[i];
    longest += fmt::format("\n  {}, line {}: {} tokens", file_of(store, sources, piece.document).path.string(),
                           store.line(piece.document), piece.count);
  }
  fail(Kind::data,
       "{} of the rows are longer than cutoff_len {}; the longest:{}\nRaise cutoff_len, or say what becomes of them "
       "with overflow: drop, truncate or split",
       too_long.size(), options.cutoff_len, longest);
}

/// How many of `units` are held out.
std::int64_t held_out_of(const DataOptions& options, std::int64_t units, const char* word) {
  const double wanted = options.val_size < 1 ? std::max(1.0, std::round(options.val_size * static_cast<double>(units)))
                                             : options.val_size;
  if (wanted >= static_cast<double>(units)) {
    fail(Kind::data,
         "val_size {} would hold out {:.0f} of {} {}: nothing would be left to train on; give less, or name an "
         "eval_dataset",
         options.val_size, wanted, units, word);
  }
  return static_cast<std::int64_t>(wanted);
}

std::vector<bool> chosen(const DataOptions& options, std::int64_t units, std::int64_t count) {
  const Permutation order(Key(options.seed).with("val_size"), static_cast<std::uint64_t>(units));
  std::vector<bool> held(static_cast<std::size_t>(units), false);
  for (std::int64_t i = 0; i < count; ++i) held[order(static_cast<std::uint64_t>(i))] = true;
  return held;
}

/// Joins pieces that follow each other in one document.
std::vector<Piece> joined(const std::vector<Piece>& pieces) {
  std::vector<Piece> result;
  for (const Piece& piece : pieces) {
    if (!result.empty() && result.back().document == piece.document &&
        result.back().first + result.back().count == piece.first) {
      result.back().count += piece.count;
    } else {
      result.push_back(piece);
    }
  }
  return result;
}

class Selector {
 public:
  Selector(const TokenStore& store, const Sources& sources, const DataOptions& options)
      : store_(store), sources_(sources), options_(options) {}

  Selection of(const std::vector<Piece>& pieces) && {
    const bool packing_cuts = options_.overflow == Overflow::split && options_.packing == Packing::wrapped;
    for (const Piece& piece : pieces) {
      if (trained_in(store_, piece) == 0) {
        untrained(piece);
      } else if (piece.count <= options_.cutoff_len || packing_cuts) {
        selection_.pieces.push_back(piece);
      } else {
        too_long(piece);
      }
    }
    if (!raised_.empty()) raise_overflow(store_, sources_, options_, std::move(raised_));
    return std::move(selection_);
  }

 private:
  void drop(const Piece& piece, const char* reason) {
    selection_.left_out.push_back({piece, "dropped", reason, piece.count});
  }

  void untrained(const Piece& piece) {
    drop(piece, no_trained_token);
    ++selection_.untrained;
  }

  void too_long(const Piece& piece) {
    switch (options_.overflow) {
      case Overflow::raise:
        raised_.push_back(piece);
        break;
      case Overflow::drop:
        drop(piece, "longer than cutoff_len");
        break;
      case Overflow::truncate:
        truncate(piece);
        break;
      case Overflow::split:
        split(piece);
        break;
    }
  }

  void truncate(const Piece& piece) {
    const Piece start = {piece.document, piece.first, options_.cutoff_len, false};
    selection_.left_out.push_back({piece, "truncated", "longer than cutoff_len", piece.count - start.count});
    if (trained_in(store_, start) > 0) {
      selection_.pieces.push_back(start);
    } else {
      untrained(start);
    }
  }

  void split(const Piece& piece) {
    if (!may_be_cut(store_, sources_, options_.rules.stage, piece.document)) {
      fail(Kind::data,
           "{}, line {}: {} tokens, more than cutoff_len {}, and overflow: split is for texts only: the pieces of such "
           "a row "
           "would lose its prompt; raise cutoff_len, or choose overflow: drop or truncate",
           file_of(store_, sources_, piece.document).path.string(), store_.line(piece.document), piece.count,
           options_.cutoff_len);
    }
    std::vector<Piece> cuts;
    cut(piece, options_.cutoff_len, cuts);
    selection_.left_out.push_back({piece, "split", "longer than cutoff_len", 0});
    for (const Piece& one : cuts) {
      if (trained_in(store_, one) > 0) {
        selection_.pieces.push_back(one);
      } else {
        drop(one, "piece without trained token");
      }
    }
  }

  const TokenStore& store_;
  const Sources& sources_;
  const DataOptions& options_;
  Selection selection_;
  std::vector<Piece> raised_;
};

}  // namespace

std::vector<Piece> whole_documents(const TokenStore& store) {
  std::vector<Piece> pieces;
  for (std::int64_t d = 0; d < store.documents(); ++d) pieces.push_back({d, 0, store.length(d), false});
  return pieces;
}

bool may_be_cut(const TokenStore& store, const Sources& sources, DataStage stage, std::int64_t document) {
  const Format format = file_of(store, sources, document).format;
  return format == Format::text || (format == Format::tokens && stage == DataStage::pt);
}

std::pair<std::vector<Piece>, std::vector<Piece>> hold_out(const TokenStore& store, const Sources& sources,
                                                           const DataOptions& options) {
  std::vector<Piece> units = whole_documents(store);
  const auto cuttable = [&](const Piece& piece) {
    return may_be_cut(store, sources, options.rules.stage, piece.document);
  };
  const bool in_pieces = units.size() < 20 && std::all_of(units.begin(), units.end(), cuttable);
  if (in_pieces) {
    std::vector<Piece> pieces;
    for (const Piece& document : units) cut(document, options.cutoff_len, pieces);
    for (Piece& piece : pieces) piece.continues = false;  // nothing is trained to predict what is held out
    units = std::move(pieces);
  }
  const auto count = static_cast<std::int64_t>(units.size());
  const std::vector<bool> held =
      chosen(options, count, held_out_of(options, count, in_pieces ? "pieces of cutoff_len" : "documents"));
  std::vector<Piece> train, eval;
  for (std::size_t i = 0; i < units.size(); ++i) (held[i] ? eval : train).push_back(units[i]);
  return {joined(train), joined(eval)};
}

Selection select(const TokenStore& store, const Sources& sources, const DataOptions& options,
                 const std::vector<Piece>& pieces) {
  return Selector(store, sources, options).of(pieces);
}

Plan without_untrained_rows(const TokenStore& store, const Plan& plan, std::vector<LeftOut>& left_out) {
  Plan kept;
  for (std::int64_t index = 0; index < plan.rows(); ++index) {
    const auto row = plan.row(index);
    if (std::any_of(row.begin(), row.end(), [&](const Piece& piece) { return trained_in(store, piece) > 0; })) {
      kept.pieces.insert(kept.pieces.end(), row.begin(), row.end());
      kept.row_starts.push_back(static_cast<std::int64_t>(kept.pieces.size()));
    } else {
      for (const Piece& piece : row) left_out.push_back({piece, "dropped", "row without trained token", piece.count});
    }
  }
  return kept;
}

}  // namespace hearth

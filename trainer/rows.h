// Rows as a step takes them, wherever they lie.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "data/dataset.h"

namespace hearth {

class Rows {
 public:
  virtual ~Rows() = default;
  virtual std::int64_t count() const = 0;
  virtual std::int64_t tokens(std::int64_t row) const = 0;
  virtual std::int64_t trained(std::int64_t row) const = 0;  // valid targets
  virtual Row row(std::int64_t row) const = 0;
};

/// Rows of a prepared dataset, which outlives it.
class DatasetRows final : public Rows {
 public:
  explicit DatasetRows(const Dataset& dataset) : dataset_(dataset) {}
  std::int64_t count() const override { return dataset_.rows(); }
  std::int64_t tokens(std::int64_t row) const override { return dataset_.tokens(row); }
  std::int64_t trained(std::int64_t row) const override { return dataset_.trained(row); }
  Row row(std::int64_t row) const override { return dataset_.row(row); }

 private:
  const Dataset& dataset_;
};

/// Rows in memory.
class ListedRows final : public Rows {
 public:
  explicit ListedRows(std::vector<Row> rows) : rows_(std::move(rows)) {}
  std::int64_t count() const override { return static_cast<std::int64_t>(rows_.size()); }
  std::int64_t tokens(std::int64_t row) const override { return static_cast<std::int64_t>(at(row).tokens.size()); }
  std::int64_t trained(std::int64_t row) const override;
  Row row(std::int64_t row) const override { return at(row); }

 private:
  const Row& at(std::int64_t row) const { return rows_[static_cast<std::size_t>(row)]; }
  std::vector<Row> rows_;
};

/// A row from token ids and labels as files write them: labels are not shifted, -100 = no target, empty = every token
/// is one. starts: the first token of each document; empty = one document.
Row labelled_row(std::vector<std::int32_t> tokens, const std::vector<std::int32_t>& labels,
                 std::vector<std::int32_t> starts = {});

/// Valid targets of all rows.
std::int64_t targets_of(const Rows& rows);

}  // namespace hearth

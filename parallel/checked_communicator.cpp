#include "parallel/checked_communicator.h"

#include <array>
#include <cstring>
#include <numeric>

#include "parallel/ordered_sum.h"

namespace hearth {

namespace {

void check_tensor(In x) {
  require(x.device == Device::host, "this communicator moves host memory");
  require(x.unpitched(), "a communicator moves unpitched tensors");
}

void check_parts(In mine, In all, int size) {
  check_tensor(mine);
  check_tensor(all);
  require(mine.dtype == all.dtype, "a gather or reduce_scatter keeps the dtype");
  if (all.elements() != size * mine.elements()) {
    fail(Kind::internal, "internal error: {} elements do not make {} equal parts of {} (please report this)",
         all.elements(), size, mine.elements());
  }
}

void check_sum(Dtype dtype) {
  if (!is_summable(dtype)) {
    fail(Kind::internal, "internal error: {} is not summed over ranks; f32, f64, i64 and bf16 are (please report this)",
         name_of(dtype));
  }
}

void count(Traffic::Count& entry, std::size_t bytes) {
  ++entry.calls;
  entry.bytes += bytes;
}

void check_rows(In rows, std::span<const std::int64_t> counts, int size) {
  check_tensor(rows);
  require(counts.size() == static_cast<std::size_t>(size), "an exchange names a count for every rank");
  for (const std::int64_t n : counts) require(n >= 0, "an exchange has no negative counts");
  const auto total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  require(total == rows.rows() || (total == 0 && rows.elements() == 0), "the counts of an exchange add up to its rows");
}

}  // namespace

const char* name_of(Operation operation) {
  constexpr std::array<const char*, 6> names{"sum",      "gather",          "reduce_scatter",
                                             "exchange", "send or receive", "barrier"};
  return names[static_cast<std::size_t>(operation)];
}

void copy_bytes(const void* from, void* to, std::size_t bytes) {
  if (bytes != 0 && from != to) std::memcpy(to, from, bytes);
}

Ticket CheckedCommunicator::sum(Out in_out) {
  check_tensor(in_out);
  check_sum(in_out.dtype);
  const auto others = static_cast<std::size_t>(size() - 1);
  if (in_out.bytes() <= small_sum_bytes) {
    count(traffic_.sum, in_out.bytes() * others);
  } else {
    const Interval mine = even_interval(in_out.elements(), rank(), size());
    const std::size_t bytes = static_cast<std::size_t>(mine.count()) * size_of(in_out.dtype);
    count(traffic_.sum, (in_out.bytes() - bytes) + bytes * others);
  }
  return start_sum(in_out);
}

Ticket CheckedCommunicator::gather(In mine, Out all) {
  check_parts(mine, all, size());
  count(traffic_.gather, mine.bytes() * static_cast<std::size_t>(size() - 1));
  return start_gather(mine, all);
}

Ticket CheckedCommunicator::reduce_scatter(In all, Out mine, Onto onto) {
  check_parts(mine, all, size());
  check_sum(all.dtype);
  count(traffic_.reduce_scatter, mine.bytes() * static_cast<std::size_t>(size() - 1));
  return start_reduce_scatter(all, mine, onto);
}

Ticket CheckedCommunicator::exchange(In rows, std::span<const std::int64_t> to, Out received,
                                     std::span<const std::int64_t> from) {
  check_rows(rows, to, size());
  check_rows(received, from, size());
  require(rows.dtype == received.dtype && rows.row_elements() == received.row_elements(),
          "an exchange keeps the dtype and the length of a row");
  const auto me = static_cast<std::size_t>(rank());
  require(to[me] == from[me], "an exchange gives itself what it takes from itself");
  const std::int64_t row_bytes = rows.row_elements() * static_cast<std::int64_t>(size_of(rows.dtype));
  const auto total = std::accumulate(to.begin(), to.end(), std::int64_t{0});
  count(traffic_.exchange, static_cast<std::size_t>((total - to[me]) * row_bytes));
  return start_exchange(rows, to, received, from);
}

void CheckedCommunicator::check_peer(int peer) const {
  if (peer < 0 || peer >= size()) {
    fail(Kind::internal, "internal error: rank {} does not exist among {} ranks (please report this)", peer, size());
  }
}

Ticket CheckedCommunicator::send(In x, int to) {
  check_tensor(x);
  check_peer(to);
  count(traffic_.point, x.bytes());
  return start_send(x, to);
}

Ticket CheckedCommunicator::receive(Out x, int from) {
  check_tensor(x);
  check_peer(from);
  count(traffic_.point, 0);
  return start_receive(x, from);
}

void CheckedCommunicator::barrier() {
  count(traffic_.barrier, 0);
  wait_for_all();
}

}  // namespace hearth

#include "parallel/mpi_messages.h"

#include <algorithm>

#include "parallel/checked_communicator.h"

namespace hearth::mpi {

namespace {

constexpr std::size_t largest_message = std::size_t{1} << 30;  // MPI counts are ints
constexpr std::size_t staging_bytes = std::size_t{2} << 20;    // of one sum under way
constexpr std::size_t smallest_piece = std::size_t{64} << 10;  // of one rank's addends

/// Bytes of a piece, the same on every rank: two pieces of every other rank fit into the staging memory, each at the
/// beginning of a cache line.
std::size_t piece_bytes(int size) {
  const std::size_t share = staging_bytes / (2 * static_cast<std::size_t>(std::max(1, size - 1)));
  return std::max(smallest_piece, share / 64 * 64);
}

std::vector<Interval> even_intervals(std::int64_t count, int parts) {
  std::vector<Interval> intervals;
  intervals.reserve(static_cast<std::size_t>(parts));
  for (int i = 0; i < parts; ++i) intervals.push_back(even_interval(count, i, parts));
  return intervals;
}

}  // namespace

// ---- messages

void Transfers::send(const Channel& channel, const void* data, std::size_t bytes, int to) {
  const auto* from = static_cast<const std::byte*>(data);
  for (std::size_t sent = 0; sent < bytes; sent += largest_message) {
    const auto count = static_cast<int>(std::min(largest_message, bytes - sent));
    requests_.push_back(MPI_REQUEST_NULL);
    check(MPI_Isend(from + sent, count, MPI_BYTE, to, channel.tag, channel.comm, &requests_.back()), "MPI_Isend");
  }
}

void Transfers::receive(const Channel& channel, void* data, std::size_t bytes, int from) {
  auto* to = static_cast<std::byte*>(data);
  for (std::size_t received = 0; received < bytes; received += largest_message) {
    const auto count = static_cast<int>(std::min(largest_message, bytes - received));
    requests_.push_back(MPI_REQUEST_NULL);
    check(MPI_Irecv(to + received, count, MPI_BYTE, from, channel.tag, channel.comm, &requests_.back()), "MPI_Irecv");
  }
}

bool Transfers::done() {
  if (requests_.empty()) return true;
  int flag = 0;
  check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &flag, MPI_STATUSES_IGNORE), "MPI_Testall");
  if (flag != 0) requests_.clear();
  return flag != 0;
}

std::vector<std::byte> Staging::take(std::size_t bytes) {
  if (free_.empty()) return std::vector<std::byte>(bytes);
  std::vector<std::byte> taken = std::move(free_.back());
  free_.pop_back();
  if (taken.size() < bytes) taken.resize(bytes);
  return taken;
}

// ---- sums

ReduceScatterTask::ReduceScatterTask(const Channel& channel, Staging& staging, In all, std::vector<Interval> intervals,
                                     void* out, Onto onto)
    : channel_(channel),
      staging_memory_(staging),
      all_(all),
      intervals_(std::move(intervals)),
      out_(static_cast<std::byte*>(out)),
      onto_(onto),
      piece_elements_(static_cast<std::int64_t>(piece_bytes(channel.size) / size_of(all.dtype))) {
  std::int64_t longest = 0;
  for (const Interval interval : intervals_) longest = std::max(longest, interval.count());
  pieces_ = (longest + piece_elements_ - 1) / piece_elements_;
  const auto others = static_cast<std::size_t>(channel.size - 1);
  if (pieces_ > 0 && others > 0) staging_ = staging.take(2 * others * piece_bytes(channel.size));
  for (std::int64_t piece = 0; piece < std::min<std::int64_t>(2, pieces_); ++piece) post(piece);
}

ReduceScatterTask::~ReduceScatterTask() {
  if (!staging_.empty()) staging_memory_.give(std::move(staging_));
}

Interval ReduceScatterTask::part(int rank, std::int64_t piece) const {
  const Interval whole = intervals_[static_cast<std::size_t>(rank)];
  const std::int64_t begin = whole.begin + piece * piece_elements_;
  return intersect(whole, {begin, begin + piece_elements_});
}

std::byte* ReduceScatterTask::slot(std::int64_t piece, int from) {
  const std::int64_t place = piece % 2 * (channel_.size - 1) + (from < channel_.rank ? from : from - 1);
  return staging_.data() + static_cast<std::size_t>(place) * piece_bytes(channel_.size);
}

void ReduceScatterTask::post(std::int64_t piece) {
  Transfers& transfers = under_way_[static_cast<std::size_t>(piece % 2)];
  const std::size_t element = size_of(all_.dtype);
  for (int step = 1; step < channel_.size; ++step) {
    const int from = (channel_.rank + channel_.size - step) % channel_.size;
    const int to = (channel_.rank + step) % channel_.size;
    const auto mine = static_cast<std::size_t>(part(channel_.rank, piece).count());
    const Interval theirs = part(to, piece);
    transfers.receive(channel_, slot(piece, from), mine * element, from);
    transfers.send(channel_, element_at(all_, theirs.begin), static_cast<std::size_t>(theirs.count()) * element, to);
  }
}

void ReduceScatterTask::add(std::int64_t piece) {
  const Interval mine = part(channel_.rank, piece);
  if (mine.count() == 0) return;
  std::vector<const void*> addends;
  addends.reserve(static_cast<std::size_t>(channel_.size));
  for (int rank = 0; rank < channel_.size; ++rank) {
    addends.push_back(rank == channel_.rank ? element_at(all_, mine.begin) : slot(piece, rank));
  }
  const std::int64_t place = mine.begin - intervals_[static_cast<std::size_t>(channel_.rank)].begin;
  sum_in_rank_order(all_.dtype, addends, onto_, mine.count(),
                    out_ + static_cast<std::size_t>(place) * size_of(all_.dtype));
}

Progress ReduceScatterTask::advance() {
  const std::int64_t before = added_;
  while (added_ < pieces_ && under_way_[static_cast<std::size_t>(added_ % 2)].done()) {
    add(added_);
    if (added_ + 2 < pieces_) post(added_ + 2);
    ++added_;
  }
  if (added_ == pieces_) return Progress::done;
  return added_ == before ? Progress::none : Progress::some;
}

SmallSumTask::SmallSumTask(const Channel& channel, Staging& staging, In in_out)
    : channel_(channel), staging_memory_(staging), in_out_(in_out) {
  const std::size_t bytes = in_out.bytes();
  staging_ = staging.take(bytes * static_cast<std::size_t>(channel.size));
  for (int rank = 0; rank < channel.size; ++rank) {
    if (rank == channel.rank) continue;
    transfers_.receive(channel, staging_.data() + static_cast<std::size_t>(rank) * bytes, bytes, rank);
    transfers_.send(channel, in_out.data, bytes, rank);
  }
}

SmallSumTask::~SmallSumTask() {
  staging_memory_.give(std::move(staging_));
}

Progress SmallSumTask::advance() {
  if (!transfers_.done()) return Progress::none;
  std::vector<const void*> addends;
  for (int rank = 0; rank < channel_.size; ++rank) {
    const void* received = staging_.data() + static_cast<std::size_t>(rank) * in_out_.bytes();
    addends.push_back(rank == channel_.rank ? in_out_.data : received);
  }
  sum_in_rank_order(in_out_.dtype, addends, Onto::nothing, in_out_.elements(), in_out_.data);
  return Progress::done;
}

LargeSumTask::LargeSumTask(const Channel& channel, Staging& staging, In in_out)
    : channel_(channel), in_out_(in_out), intervals_(even_intervals(in_out.elements(), channel.size)) {
  void* mine = element_at(in_out, intervals_[static_cast<std::size_t>(channel.rank)].begin);
  sums_ = std::make_unique<ReduceScatterTask>(channel, staging, in_out, intervals_, mine, Onto::nothing);
}

// What the others sent here is added and what was sent away has left before any interval is overwritten.
Progress LargeSumTask::advance() {
  if (sums_ != nullptr) {
    const Progress progress = sums_->advance();
    if (progress != Progress::done) return progress;
    sums_.reset();
    const Interval mine = intervals_[static_cast<std::size_t>(channel_.rank)];
    const std::size_t element = size_of(in_out_.dtype);
    for (int step = 1; step < channel_.size; ++step) {
      const int from = (channel_.rank + channel_.size - step) % channel_.size;
      const Interval theirs = intervals_[static_cast<std::size_t>(from)];
      gathering_.receive(channel_, element_at(in_out_, theirs.begin),
                         static_cast<std::size_t>(theirs.count()) * element, from);
      gathering_.send(channel_, element_at(in_out_, mine.begin), static_cast<std::size_t>(mine.count()) * element,
                      (channel_.rank + step) % channel_.size);
    }
  }
  return gathering_.done() ? Progress::done : Progress::none;
}

// ---- everything else

std::shared_ptr<Task> gather_by_messages(const Channel& channel, In mine, Out all) {
  const std::size_t bytes = mine.bytes();
  const auto place = [&](int rank) { return element_at(all, rank * mine.elements()); };
  auto task = std::make_shared<TransferTask>();
  for (int step = 1; step < channel.size; ++step) {
    const int from = (channel.rank + channel.size - step) % channel.size;
    task->transfers.receive(channel, place(from), bytes, from);
    task->transfers.send(channel, mine.data, bytes, (channel.rank + step) % channel.size);
  }
  copy_bytes(mine.data, place(channel.rank), bytes);
  return task;
}

std::shared_ptr<Task> reduce_scatter_by_messages(const Channel& channel, Staging& staging, In all, Out mine,
                                                 Onto onto) {
  std::vector<Interval> intervals;
  intervals.reserve(static_cast<std::size_t>(channel.size));
  for (int rank = 0; rank < channel.size; ++rank) {
    intervals.push_back({rank * mine.elements(), (rank + 1) * mine.elements()});
  }
  return std::make_shared<ReduceScatterTask>(channel, staging, all, std::move(intervals), mine.data, onto);
}

std::shared_ptr<Task> exchange_by_messages(const Channel& channel, In rows, std::span<const std::int64_t> to,
                                           Out received, std::span<const std::int64_t> from) {
  const std::int64_t row = rows.row_elements();
  const std::size_t row_bytes = static_cast<std::size_t>(row) * size_of(rows.dtype);
  auto task = std::make_shared<TransferTask>();
  std::int64_t sent = 0;
  std::int64_t place = 0;
  const void* own = nullptr;
  void* own_place = nullptr;
  for (int peer = 0; peer < channel.size; ++peer) {
    const auto index = static_cast<std::size_t>(peer);
    if (peer == channel.rank) {
      own = element_at(rows, sent * row);
      own_place = element_at(received, place * row);
    } else {
      task->transfers.receive(channel, element_at(received, place * row),
                              static_cast<std::size_t>(from[index]) * row_bytes, peer);
      task->transfers.send(channel, element_at(rows, sent * row), static_cast<std::size_t>(to[index]) * row_bytes,
                           peer);
    }
    sent += to[index];
    place += from[index];
  }
  copy_bytes(own, own_place, static_cast<std::size_t>(to[static_cast<std::size_t>(channel.rank)]) * row_bytes);
  return task;
}

std::shared_ptr<Task> barrier_by_messages(const Channel& channel) {
  auto task = std::make_shared<TransferTask>();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(channel.comm, &request), "MPI_Ibarrier");
  task->transfers.add(request);
  return task;
}

}  // namespace hearth::mpi

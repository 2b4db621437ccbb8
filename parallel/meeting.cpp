#include "parallel/meeting.h"

#include <algorithm>
#include <numeric>

#include "parallel/ordered_sum.h"
#include "parallel/stream_copy.h"

namespace hearth {

namespace {

std::size_t row_bytes(In x) {
  return static_cast<std::size_t>(x.row_elements()) * size_of(x.dtype);
}

std::int64_t before(const std::vector<std::int64_t>& counts, std::size_t index) {
  return std::accumulate(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(index), std::int64_t{0});
}

}  // namespace

void WorldLock::fail_with(const std::string& reason) {
  if (!failed) failure = reason;
  failed = true;
  changed.notify_all();
}

Meeting::Meeting(std::shared_ptr<WorldLock> world, int participants)
    : world_(std::move(world)), places_(static_cast<std::size_t>(participants)) {}

void Meeting::post(int participant, Posted posted) {
  places_[static_cast<std::size_t>(participant)] = std::move(posted);
  ++posted_;
  if (!all_posted()) return;
  if (const std::string reason = mismatch(); !reason.empty()) world_->fail_with(reason);
  switch (places_[0].operation) {
    case Operation::barrier:
      break;
    case Operation::message:
      parts_ = 1;
      break;
    case Operation::sum:
    case Operation::gather:
    case Operation::reduce_scatter:
    case Operation::exchange:
      parts_ = static_cast<int>(places_.size());
      break;
  }
  world_->changed.notify_all();
}

void Meeting::leave(std::unique_lock<std::mutex>& lock) {
  world_->changed.wait(lock, [&] { return next_ == done_; });
}

void Meeting::wait() {
  std::unique_lock lock(world_->mutex);
  while (!finished()) {
    if (world_->failed) {
      leave(lock);
      throw Released(Kind::internal, fmt::format("released because another rank failed: {}", world_->failure));
    }
    if (all_posted() && next_ < parts_) {
      const int part = next_++;
      lock.unlock();
      work(part);
      lock.lock();
      if (++done_ == next_) world_->changed.notify_all();
    } else {
      world_->changed.wait(lock);
    }
  }
}

void Meeting::abandon() noexcept {
  std::unique_lock lock(world_->mutex);
  if (!finished()) world_->fail_with("a rank left an operation that it had begun");
  leave(lock);
}

std::string Meeting::mismatch() const {
  const Posted& first = places_[0];
  for (std::size_t i = 1; i < places_.size(); ++i) {
    const Posted& other = places_[i];
    if (first.operation != other.operation) {
      return fmt::format("rank 0 called {} where rank {} called {}", name_of(first.operation), i,
                         name_of(other.operation));
    }
    const bool message = first.operation == Operation::message;
    const std::size_t expected = first.in.bytes();
    const std::size_t found = message ? other.out.bytes() : other.in.bytes();
    if (first.operation != Operation::exchange && (expected != found || first.onto != other.onto)) {
      return fmt::format("a {} of {} bytes on rank 0 met one of {} bytes on rank {}", name_of(first.operation),
                         expected, found, i);
    }
  }
  if (first.operation != Operation::exchange) return {};
  for (std::size_t i = 0; i < places_.size(); ++i) {
    for (std::size_t j = 0; j < places_.size(); ++j) {
      if (places_[i].to[j] == places_[j].from[i]) continue;
      return fmt::format("in an exchange rank {} sends {} rows to rank {}, which expects {}", i, places_[i].to[j], j,
                         places_[j].from[i]);
    }
  }
  return {};
}

void Meeting::work(int part) const {
  const auto index = static_cast<std::size_t>(part);
  switch (places_[0].operation) {
    case Operation::sum:
      return sum(index);
    case Operation::gather:
      return gather(index);
    case Operation::reduce_scatter:
      return reduce_scatter(index);
    case Operation::exchange:
      return exchange(index);
    case Operation::message:
      return copy_part(places_[0].in.bytes(), places_[0].in.data, places_[1].out.data, places_[0].in.bytes());
    case Operation::barrier:
      return;
  }
}

// Part p of a gather fills rank p's `all`; a `mine` that lies in its own place is not copied.
void Meeting::gather(std::size_t part) const {
  const Posted& target = places_[part];
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto count = static_cast<std::int64_t>(i) * places_[i].in.elements();
    copy_part(target.out.bytes(), places_[i].in.data, element_at(target.out, count), places_[i].in.bytes());
  }
}

// Part p of a sum is the p-th interval, summed in place of rank 0's and copied to the others', a piece at a time while it
// is in the cache.
void Meeting::sum(std::size_t part) const {
  constexpr std::int64_t piece = 16384;  // elements
  const Tensor& first = places_[0].in;
  const Interval mine = even_interval(first.elements(), static_cast<int>(part), static_cast<int>(places_.size()));
  std::vector<const void*> addends(places_.size());
  for (std::int64_t begin = mine.begin; begin < mine.end; begin += piece) {
    const std::int64_t count = std::min(piece, mine.end - begin);
    for (std::size_t i = 0; i < places_.size(); ++i) addends[i] = element_at(places_[i].in, begin);
    void* out = element_at(first, begin);
    sum_in_rank_order(first.dtype, addends, Onto::nothing, count, out);
    const std::size_t bytes = static_cast<std::size_t>(count) * size_of(first.dtype);
    for (std::size_t i = 1; i < places_.size(); ++i) copy_bytes(out, element_at(places_[i].in, begin), bytes);
  }
}

// Part p of a reduce_scatter is rank p's interval.
void Meeting::reduce_scatter(std::size_t part) const {
  const Posted& target = places_[part];
  const std::int64_t count = target.out.elements();
  std::vector<const void*> addends;
  for (const Posted& posted : places_)
    addends.push_back(element_at(posted.in, static_cast<std::int64_t>(part) * count));
  sum_in_rank_order(target.out.dtype, addends, target.onto, count, target.out.data);
}

// Part p of an exchange fills what rank p receives.
void Meeting::exchange(std::size_t part) const {
  const Posted& target = places_[part];
  const std::size_t bytes = row_bytes(target.out);
  auto* out = static_cast<std::byte*>(target.out.data);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto* in = static_cast<const std::byte*>(places_[i].in.data);
    const auto first = static_cast<std::size_t>(before(places_[i].to, part));
    const auto place = static_cast<std::size_t>(before(target.from, i));
    const std::size_t size = static_cast<std::size_t>(target.from[i]) * bytes;
    if (size != 0) copy_part(target.out.bytes(), in + first * bytes, out + place * bytes, size);
  }
}

}  // namespace hearth

#include "conformance_flights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conformance_values.h"

namespace hearth::test {

namespace {

// Where transports change their ways (slots, pieces, blocks, streams: a power of two of bytes or elements) and just
// beside.
constexpr std::array<std::size_t, 14> borders{8192,  8193,  16384,  16385,  32768,   32769,   65535,
                                              65537, 80001, 262144, 262145, 1048575, 1048577, 2097155};

/// Operations of all kinds begun on one communicator, and what they should give.
class Flight {
 public:
  Flight(Communicator& ranks, std::size_t size, const std::string& name)
      : ranks_(ranks),
        size_(size),
        name_(name),
        summed_(values_of<float>(ranks.rank(), size, name)),
        mine_(values_of<double>(ranks.rank(), size, name)),
        all_(size * static_cast<std::size_t>(ranks.size())),
        whole_(values_of<Bf16>(ranks.rank(), all_.size(), name)),
        part_(values_of<Bf16>(99, size, name)),
        small_(values_of<float>(ranks.rank(), 3, name)),
        received_(size),
        rows_(values_of<double>(ranks.rank(), all_.size(), name)),
        taken_(all_.size()) {}

  void begin(std::vector<Ticket>& tickets) {
    const auto count = static_cast<std::int64_t>(size_);
    const Counts rows(static_cast<std::size_t>(ranks_.size()), count);
    tickets.push_back(ranks_.receive(view(received_), (ranks_.rank() + ranks_.size() - 1) % ranks_.size()));
    tickets.push_back(ranks_.sum(view(summed_)));
    tickets.push_back(ranks_.sum(view(small_)));
    tickets.push_back(ranks_.reduce_scatter(view(whole_), view(part_), Onto::held));
    tickets.push_back(ranks_.exchange(view(rows_), rows, view(taken_), rows));
    tickets.push_back(ranks_.gather(view(mine_), view(all_)));
    tickets.push_back(ranks_.send(view(mine_), (ranks_.rank() + 1) % ranks_.size()));
  }

  void check() const {
    const int n = ranks_.size();
    const auto count = static_cast<std::ptrdiff_t>(size_);
    const auto place = ranks_.rank() * count;
    EXPECT_TRUE(same_bits(summed_, rank_order_sum<float>(n, size_, name_))) << name_;
    EXPECT_TRUE(same_bits(small_, rank_order_sum<float>(n, 3, name_))) << name_;
    std::vector<Bf16> held(all_.size());
    const auto start = values_of<Bf16>(99, size_, name_);
    std::copy(start.begin(), start.end(), held.begin() + place);
    const auto reduced = rank_order_sum<Bf16>(n, all_.size(), name_, &held);
    EXPECT_TRUE(same_bits(part_, std::vector<Bf16>(reduced.begin() + place, reduced.begin() + place + count))) << name_;
    for (int rank = 0; rank < n; ++rank) {
      const auto theirs = values_of<double>(rank, size_, name_);
      EXPECT_TRUE(std::equal(theirs.begin(), theirs.end(), all_.begin() + rank * count)) << name_;
      const auto their_rows = values_of<double>(rank, all_.size(), name_);
      EXPECT_TRUE(
          std::equal(their_rows.begin() + place, their_rows.begin() + place + count, taken_.begin() + rank * count))
          << name_;
    }
    EXPECT_TRUE(same_bits(received_, values_of<double>((ranks_.rank() + n - 1) % n, size_, name_))) << name_;
  }

 private:
  Communicator& ranks_;
  std::size_t size_;
  std::string name_;
  std::vector<float> summed_;
  std::vector<double> mine_;
  std::vector<double> all_;
  std::vector<Bf16> whole_;
  std::vector<Bf16> part_;
  std::vector<float> small_;
  std::vector<double> received_;
  std::vector<double> rows_;
  std::vector<double> taken_;
};

/// Every rank waits for its tickets in an order of its own.
void wait_in_some_order(std::vector<Ticket>& tickets, std::uint64_t seed) {
  std::uint64_t state = Key(5).word(seed);
  for (std::size_t left = tickets.size(); left > 0; --left) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    std::swap(tickets[state % left], tickets[left - 1]);
    tickets[left - 1].wait();
  }
}

}  // namespace

void sizes_around_borders(Communicator& ranks) {
  const auto n = static_cast<std::size_t>(ranks.size());
  const auto me = static_cast<std::ptrdiff_t>(ranks.rank());
  for (const std::size_t size : borders) {
    SCOPED_TRACE(size);
    auto summed = values_of<float>(ranks.rank(), size, "border sum");
    ranks.sum(view(summed)).wait();
    const auto whole_sum = rank_order_sum<float>(ranks.size(), size, "border sum");
    EXPECT_TRUE(same_bits(summed, whole_sum));

    const std::size_t part = size / n;
    const auto addends = values_of<float>(ranks.rank(), size, "border sum");
    std::vector<float> whole(addends.begin(), addends.begin() + static_cast<std::ptrdiff_t>(part * n));
    std::vector<float> mine(part, -1);
    ranks.reduce_scatter(view(whole), view(mine), Onto::nothing).wait();
    EXPECT_TRUE(std::equal(mine.begin(), mine.end(), whole_sum.begin() + me * static_cast<std::ptrdiff_t>(part)));

    std::vector<float> all(part * n, -1);
    ranks.gather(view(mine), view(all)).wait();
    EXPECT_TRUE(std::equal(all.begin(), all.end(), whole_sum.begin()));

    const int next = (ranks.rank() + 1) % ranks.size();
    const int previous = (ranks.rank() + ranks.size() - 1) % ranks.size();
    std::vector<float> received(size, -1);
    Ticket sent = ranks.send(view(addends), next);
    ranks.receive(view(received), previous).wait();
    sent.wait();
    EXPECT_TRUE(same_bits(received, values_of<float>(previous, size, "border sum")));
  }
}

void many_in_flight_on_several_communicators(Communicator& ranks) {
  const auto same = ranks.split(0, ranks.rank());
  const auto reversed = ranks.split(0, -ranks.rank());
  const auto halves = ranks.split(ranks.rank() % 2, ranks.rank());
  const auto pairs = ranks.split(ranks.rank() / 2, -ranks.rank());
  for (std::uint64_t round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<Flight>> flights;
    std::vector<Ticket> tickets;
    const std::array<std::size_t, 3> lengths{5, 20011, 5000};
    for (Communicator* one : {&ranks, same.get(), reversed.get(), halves.get(), pairs.get()}) {
      for (std::size_t k = 0; k < lengths.size(); ++k) {
        flights.push_back(std::make_unique<Flight>(*one, lengths[k], "flight " + std::to_string(k)));
        flights.back()->begin(tickets);
      }
    }
    wait_in_some_order(tickets, round * 100 + static_cast<std::uint64_t>(ranks.rank()));
    for (const auto& flight : flights) flight->check();
  }
}

void many_small_ones_before_the_first_wait(Communicator& ranks) {
  constexpr std::size_t many = 50;
  std::vector<std::vector<double>> values(many);
  std::vector<Ticket> tickets;
  for (std::size_t i = 0; i < many; ++i) {
    values[i].assign(i % 7 + 1, static_cast<double>(i) + ranks.rank());
    tickets.push_back(ranks.sum(view(values[i])));
  }
  wait_in_some_order(tickets, static_cast<std::uint64_t>(ranks.rank()));
  const double n = ranks.size();
  for (std::size_t i = 0; i < many; ++i) {
    EXPECT_EQ(values[i].back(), n * static_cast<double>(i) + n * (n - 1) / 2) << i;
  }
  std::vector<std::vector<float>> received(many, std::vector<float>(3));
  std::vector<std::vector<float>> sent;
  for (std::size_t i = 0; i < many; ++i) sent.emplace_back(3, static_cast<float>(i));
  for (std::size_t i = 0; i < many; ++i) {
    tickets.push_back(ranks.send(view(sent[i]), (ranks.rank() + 1) % ranks.size()));
    tickets.push_back(ranks.receive(view(received[i]), (ranks.rank() + ranks.size() - 1) % ranks.size()));
  }
  wait_in_some_order(tickets, static_cast<std::uint64_t>(ranks.rank()));
  EXPECT_EQ(received, sent);
}

void communicators_come_and_go(Communicator& ranks) {
  const auto alone = ranks.split(ranks.rank(), 0);
  for (int round = 0; round < 12; ++round) {
    auto one = ranks.split(0, round % 2 == 0 ? ranks.rank() : -ranks.rank());
    const auto two = one->split(one->rank() % 2, 0);
    std::vector<double> large(9001, 1);
    two->sum(view(large)).wait();
    EXPECT_EQ(large[9000], two->size());

    std::vector<std::int64_t> value{one->rank()};
    std::vector<std::int64_t> all(static_cast<std::size_t>(one->size()));
    Ticket gathered = one->gather(view(value), view(all));
    const bool hurries = round % ranks.size() == ranks.rank();
    if (!hurries) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    gathered.wait();
    if (hurries) {
      one.reset();
      alone->split(0, 0)->barrier();
    }
    for (std::size_t rank = 0; rank < all.size(); ++rank) EXPECT_EQ(all[rank], static_cast<std::int64_t>(rank));
  }
}

}  // namespace hearth::test

#include "conformance.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <vector>

#include "conformance_flights.h"
#include "conformance_values.h"

namespace hearth::test {

namespace {

// Odd, prime, empty, around the small-sum limit and over several pieces of a transport.
constexpr std::array<std::size_t, 9> sizes{0, 1, 3, 7, 255, 4096, 4097, 70001, 300007};

template <class T>
void sum_has_rank_order(Communicator& ranks) {
  for (const std::size_t size : sizes) {
    auto mine = values_of<T>(ranks.rank(), size, "sum");
    ranks.sum(view(mine)).wait();
    EXPECT_TRUE(same_bits(mine, rank_order_sum<T>(ranks.size(), size, "sum"))) << size << " elements";
  }
}

void sum_whose_order_is_seen(Communicator& ranks) {
  const std::array<float, 4> addends{1e8F, 1.0F, -1e8F, 1.0F};
  for (const std::size_t size : {std::size_t{1}, std::size_t{30000}}) {
    std::vector<float> mine(size, addends[static_cast<std::size_t>(ranks.rank()) % 4]);
    ranks.sum(view(mine)).wait();
    const std::array<float, 4> expected{1.0F, 1e8F, 1e8F, 0.0F};  // after 4, 1, 2, 3 ranks, and after 4 more
    const float last = expected[static_cast<std::size_t>(ranks.size()) % 4];
    for (const float value : mine) ASSERT_EQ(value, last);
  }
}

template <class T>
void gather_is_in_rank_order(Communicator& ranks) {
  for (const std::size_t size : sizes) {
    auto mine = values_of<T>(ranks.rank(), size, "gather");
    std::vector<T> expected;
    for (int rank = 0; rank < ranks.size(); ++rank) {
      const auto part = values_of<T>(rank, size, "gather");
      expected.insert(expected.end(), part.begin(), part.end());
    }
    std::vector<T> all(expected.size());
    ranks.gather(view(mine), view(all)).wait();
    EXPECT_TRUE(same_bits(all, expected)) << size << " elements";

    std::vector<T> in_place(expected.size());
    const auto count = static_cast<std::int64_t>(size);
    std::copy(mine.begin(), mine.end(), in_place.begin() + ranks.rank() * count);
    ranks.gather(view(in_place).row_slice(ranks.rank() * count, count), view(in_place)).wait();
    EXPECT_TRUE(same_bits(in_place, expected)) << size << " elements, in place";
  }
}

template <class T>
void reduce_scatter_has_rank_order(Communicator& ranks) {
  for (const std::size_t size : sizes) {
    const auto parts = static_cast<std::size_t>(ranks.size());
    if (parts > 4 && size > 100000) continue;  // every rank makes what all ranks hold for all: parts * parts * size
    const auto first = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(ranks.rank()) * size);
    auto all = values_of<T>(ranks.rank(), size * parts, "reduce");
    const auto untouched = all;
    const auto part_of = [&](const std::vector<T>& whole) {
      return std::vector<T>(whole.begin() + first, whole.begin() + first + static_cast<std::ptrdiff_t>(size));
    };
    std::vector<T> mine(size, number<T>(77));
    ranks.reduce_scatter(view(all), view(mine), Onto::nothing).wait();
    EXPECT_TRUE(same_bits(mine, part_of(rank_order_sum<T>(ranks.size(), size * parts, "reduce")))) << size;

    const auto held = values_of<T>(99, size * parts, "held");
    mine = part_of(held);
    ranks.reduce_scatter(view(all), view(mine), Onto::held).wait();
    EXPECT_TRUE(same_bits(mine, part_of(rank_order_sum<T>(ranks.size(), size * parts, "reduce", &held)))) << size;
    EXPECT_TRUE(same_bits(all, untouched)) << "reduce_scatter changed what it reads";
  }
}

void integers_travel(Communicator& ranks) {
  gather_is_in_rank_order<std::int32_t>(ranks);
  std::vector<std::int32_t> counts(3, 1);
  try {
    ranks.sum(view(counts)).wait();
    ADD_FAILURE() << "i32 was summed";
  } catch (const Error& error) {
    EXPECT_NE(error.text().find("i32"), std::string::npos);
  }
  std::vector<std::int64_t> tokens{ranks.rank() + (std::int64_t{1} << 40), 5};
  ranks.sum(view(tokens)).wait();
  const std::int64_t n = ranks.size();
  EXPECT_EQ(tokens, (std::vector<std::int64_t>{n * (n - 1) / 2 + (n << 40), 5 * n}));
}

std::vector<float> rows_from(int sender, int receiver, std::int64_t rows) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * 3; ++i) {
    values.push_back(static_cast<float>(sender * 1000 + receiver * 100) + static_cast<float>(i));
  }
  return values;
}

void exchange_by(Communicator& ranks, const std::function<std::int64_t(int from, int to)>& count) {
  Counts to;
  Counts from;
  std::vector<float> sent;
  std::vector<float> expected;
  for (int other = 0; other < ranks.size(); ++other) {
    to.push_back(count(ranks.rank(), other));
    from.push_back(count(other, ranks.rank()));
    const auto out = rows_from(ranks.rank(), other, to.back());
    sent.insert(sent.end(), out.begin(), out.end());
    const auto in = rows_from(other, ranks.rank(), from.back());
    expected.insert(expected.end(), in.begin(), in.end());
  }
  std::vector<float> received(expected.size(), -1);
  const Dims sent_dims{static_cast<std::int64_t>(sent.size()) / 3, 3};
  const Dims received_dims{static_cast<std::int64_t>(received.size()) / 3, 3};
  ranks.exchange(view(sent).as(sent_dims), to, view(received).as(received_dims), from).wait();
  EXPECT_EQ(received, expected);
}

void exchange_moves_rows(Communicator& ranks) {
  exchange_by(ranks, [](int, int) { return 4; });
  exchange_by(ranks, [](int from, int to) { return from * 5 + to * 2; });                         // uneven
  exchange_by(ranks, [](int from, int to) { return from == to ? 0 : (from + to) % 3; });          // zeros among them
  exchange_by(ranks, [&](int from, int to) { return to == (from + 1) % ranks.size() ? 7 : 0; });  // a ring
  exchange_by(ranks, [](int, int) { return 0; });
  exchange_by(ranks, [](int from, int to) { return from == 0 && to == 0 ? 0 : 50000; });  // large
}

void messages_arrive_in_order(Communicator& ranks) {
  const int next = (ranks.rank() + 1) % ranks.size();
  const int previous = (ranks.rank() + ranks.size() - 1) % ranks.size();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{300001}}) {
    auto first = values_of<float>(ranks.rank(), size, "first");
    auto second = values_of<Bf16>(ranks.rank(), size, "second");
    std::vector<float> first_in(size);
    std::vector<Bf16> second_in(size);
    Ticket a = ranks.send(view(first), next);
    Ticket b = ranks.send(view(second), next);
    Ticket c = ranks.receive(view(first_in), previous);
    Ticket d = ranks.receive(view(second_in), previous);
    d.wait();
    b.wait();
    c.wait();
    a.wait();
    a.wait();
    EXPECT_TRUE(same_bits(first_in, values_of<float>(previous, size, "first")));
    EXPECT_TRUE(same_bits(second_in, values_of<Bf16>(previous, size, "second")));
  }
}

/// Every rank waits in another order, some after a barrier, and some tickets are only destroyed.
void tickets_wait_late_and_out_of_order(Communicator& ranks) {
  constexpr std::size_t size = 200001;
  const auto n = static_cast<std::size_t>(ranks.size());
  auto summed = values_of<float>(ranks.rank(), size, "late sum");
  auto mine = values_of<double>(ranks.rank(), 1001, "late gather");
  std::vector<double> all(1001 * n);
  auto whole = values_of<float>(ranks.rank(), size * n, "late reduce");
  std::vector<float> part(size);
  auto small = values_of<float>(ranks.rank(), 5, "late small");
  {
    std::array<Ticket, 4> tickets{ranks.sum(view(summed)), ranks.gather(view(mine), view(all)),
                                  ranks.reduce_scatter(view(whole), view(part), Onto::nothing), ranks.sum(view(small))};
    if (ranks.rank() % 2 == 1) {
      for (std::size_t i = 4; i-- > 1;) tickets[i].wait();
    } else {
      tickets[static_cast<std::size_t>(ranks.rank()) % 4].wait();
    }
    ranks.barrier();
    tickets[2] = ranks.sum(view(small));  // waits for what it held
  }
  EXPECT_TRUE(same_bits(summed, rank_order_sum<float>(ranks.size(), size, "late sum")));
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const auto expected = values_of<double>(rank, 1001, "late gather");
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), all.begin() + rank * 1001));
  }
  const auto reduced = rank_order_sum<float>(ranks.size(), size * n, "late reduce");
  EXPECT_TRUE(std::equal(part.begin(), part.end(), reduced.begin() + ranks.rank() * static_cast<std::int64_t>(size)));
}

void split_makes_smaller_worlds(Communicator& ranks) {
  const int color = ranks.rank() % 2;
  const auto half = ranks.split(color, -ranks.rank());  // in reverse
  const int members = (ranks.size() + 1 - color) / 2;
  ASSERT_EQ(half->size(), members);
  EXPECT_EQ(half->rank(), members - 1 - ranks.rank() / 2);
  std::vector<std::int32_t> me{ranks.rank()};
  std::vector<std::int32_t> all(static_cast<std::size_t>(members));
  half->gather(view(me), view(all)).wait();
  for (int i = 0; i < members; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], 2 * (members - 1 - i) + color);
  const auto alone = half->split(half->rank(), 0);
  EXPECT_EQ(alone->size(), 1);
  std::vector<double> value{3};
  alone->sum(view(value)).wait();
  ranks.sum(view(value)).wait();
  EXPECT_EQ(value[0], 3.0 * ranks.size());
}

void traffic_is_counted(Communicator& ranks) {
  const auto fresh = ranks.split(0, ranks.rank());
  const auto n = static_cast<std::uint64_t>(fresh->size());
  std::vector<float> mine(100);
  std::vector<float> all(100 * n);
  std::vector<float> large(100000 * n);  // divides evenly
  fresh->gather(view(mine), view(all)).wait();
  fresh->reduce_scatter(view(all), view(mine), Onto::held).wait();
  fresh->sum(view(mine)).wait();
  fresh->sum(view(large)).wait();
  const int next = (fresh->rank() + 1) % fresh->size();
  const int previous = (fresh->rank() + fresh->size() - 1) % fresh->size();
  Ticket sent = fresh->send(view(mine), next);
  fresh->receive(view(all).row_slice(0, 100), previous).wait();
  sent.wait();
  fresh->barrier();
  const Counts to(n, 100);
  std::vector<float> received(100 * n);
  fresh->exchange(view(all), to, view(received), to).wait();
  const Traffic& traffic = fresh->traffic();
  EXPECT_EQ(traffic.gather.calls, 1U);
  EXPECT_EQ(traffic.gather.bytes, 400 * (n - 1));
  EXPECT_EQ(traffic.reduce_scatter.calls, 1U);
  EXPECT_EQ(traffic.reduce_scatter.bytes, 400 * (n - 1)) << "a true reduce_scatter sends each rank its interval alone";
  EXPECT_EQ(traffic.sum.calls, 2U);
  EXPECT_EQ(traffic.sum.bytes, 400 * (n - 1) + 2 * 400000 * (n - 1));
  EXPECT_EQ(traffic.point.calls, 2U);
  EXPECT_EQ(traffic.point.bytes, 400U);
  EXPECT_EQ(traffic.exchange.calls, 1U);
  EXPECT_EQ(traffic.exchange.bytes, 400 * (n - 1));
  EXPECT_EQ(traffic.barrier.calls, 1U);
}

void wrong_sizes_are_refused(Communicator& ranks) {
  std::vector<float> mine(3);
  std::vector<float> all(3 * static_cast<std::size_t>(ranks.size()) + 1);
  EXPECT_THROW(ranks.gather(view(mine), view(all)), Error);
  EXPECT_THROW(ranks.reduce_scatter(view(all), view(mine), Onto::nothing), Error);
  EXPECT_THROW(ranks.send(view(mine), ranks.size()), Error);
  EXPECT_THROW(ranks.receive(view(mine), -1), Error);
  const Counts wrong(static_cast<std::size_t>(ranks.size()), 2);
  EXPECT_THROW(ranks.exchange(view(mine), wrong, view(mine), wrong), Error);
  std::vector<float> pitched(12);
  const Tensor columns = view(pitched).as({4, 3}).column_slice(0, 2);
  EXPECT_THROW(ranks.sum(columns), Error);
}

constexpr std::array<Case, 21> cases{{
    {"SumF32", sum_has_rank_order<float>},
    {"SumF64", sum_has_rank_order<double>},
    {"SumBf16", sum_has_rank_order<Bf16>},
    {"SumWhoseOrderIsSeen", sum_whose_order_is_seen},
    {"GatherF32", gather_is_in_rank_order<float>},
    {"GatherF64", gather_is_in_rank_order<double>},
    {"GatherBf16", gather_is_in_rank_order<Bf16>},
    {"ReduceScatterF32", reduce_scatter_has_rank_order<float>},
    {"ReduceScatterF64", reduce_scatter_has_rank_order<double>},
    {"ReduceScatterBf16", reduce_scatter_has_rank_order<Bf16>},
    {"Integers", integers_travel},
    {"Exchange", exchange_moves_rows},
    {"Messages", messages_arrive_in_order},
    {"LateTickets", tickets_wait_late_and_out_of_order},
    {"Borders", sizes_around_borders},
    {"ManyInFlight", many_in_flight_on_several_communicators},
    {"ManySmall", many_small_ones_before_the_first_wait},
    {"ComeAndGo", communicators_come_and_go},
    {"Split", split_makes_smaller_worlds},
    {"Traffic", traffic_is_counted},
    {"WrongSizes", wrong_sizes_are_refused},
}};

}  // namespace

std::span<const Case> conformance() {
  return cases;
}

}  // namespace hearth::test

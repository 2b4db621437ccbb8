#include "relocated.h"

#include <cstring>
#include <vector>

namespace hearth::test {

namespace {

/// A tensor and its copy in the memory.
class Moved {
 public:
  Moved(In original, Memory& memory) : original_(original), buffer_(memory, original.bytes()) {
    copy_ = buffer_.tensor(original.dtype, original.dims);
    if (original.bytes() != 0) std::memcpy(copy_.data, original.data, original.bytes());
  }
  const Tensor& copy() const { return copy_; }
  void bring_back() const {
    if (original_.bytes() != 0) std::memcpy(original_.data, copy_.data, original_.bytes());
  }

 private:
  Tensor original_;
  Buffer buffer_;
  Tensor copy_;
};

/// Buffers outlive the ticket.
class Work final : public Ticket::Work {
 public:
  Work(std::vector<Moved> read, std::vector<Moved> written) : read_(std::move(read)), written_(std::move(written)) {}
  const Tensor& read(std::size_t i) const { return read_[i].copy(); }
  const Tensor& written(std::size_t i) const { return written_[i].copy(); }
  void under_way(Ticket ticket) { ticket_ = std::move(ticket); }
  void wait() override {
    ticket_.wait();
    for (const Moved& moved : written_) moved.bring_back();
  }
  void abandon() noexcept override {}

 private:
  std::vector<Moved> read_;
  std::vector<Moved> written_;
  Ticket ticket_;
};

class Relocated final : public Communicator {
 public:
  Relocated(Communicator& inner, Memory& memory) : inner_(inner), memory_(memory) {}
  Relocated(std::unique_ptr<Communicator> owned, Memory& memory)
      : owned_(std::move(owned)), inner_(*owned_), memory_(memory) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const Traffic& traffic() const override { return inner_.traffic(); }
  void barrier() override { inner_.barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    return std::make_unique<Relocated>(inner_.split(color, key), memory_);
  }

  Ticket sum(Out in_out) override {
    if (!in_out.unpitched()) return inner_.sum(in_out);
    auto work = move({}, {in_out});
    work->under_way(inner_.sum(work->written(0)));
    return Ticket(std::move(work));
  }
  Ticket gather(In mine, Out all) override {
    const auto* first = static_cast<const std::byte*>(all.data);
    const auto* place = static_cast<const std::byte*>(mine.data);
    if (first <= place && place < first + all.bytes()) {
      auto work = move({}, {all});
      Tensor moved = mine;
      moved.data = static_cast<std::byte*>(work->written(0).data) + (place - first);
      work->under_way(inner_.gather(moved, work->written(0)));
      return Ticket(std::move(work));
    }
    auto work = move({mine}, {all});
    work->under_way(inner_.gather(work->read(0), work->written(0)));
    return Ticket(std::move(work));
  }
  Ticket reduce_scatter(In all, Out mine, Onto onto) override {
    auto work = move({all}, {mine});
    work->under_way(inner_.reduce_scatter(work->read(0), work->written(0), onto));
    return Ticket(std::move(work));
  }
  Ticket exchange(In rows, std::span<const std::int64_t> to, Out received,
                  std::span<const std::int64_t> from) override {
    auto work = move({rows}, {received});
    work->under_way(inner_.exchange(work->read(0), to, work->written(0), from));
    return Ticket(std::move(work));
  }
  Ticket send(In x, int to) override {
    auto work = move({x}, {});
    work->under_way(inner_.send(work->read(0), to));
    return Ticket(std::move(work));
  }
  Ticket receive(Out x, int from) override {
    auto work = move({}, {x});
    work->under_way(inner_.receive(work->written(0), from));
    return Ticket(std::move(work));
  }

 private:
  std::unique_ptr<Work> move(std::initializer_list<Tensor> read, std::initializer_list<Tensor> written) {
    const auto all = [&](std::initializer_list<Tensor> tensors) {
      std::vector<Moved> moved;
      for (const Tensor& tensor : tensors) moved.emplace_back(tensor, memory_);
      return moved;
    };
    return std::make_unique<Work>(all(read), all(written));
  }

  std::unique_ptr<Communicator> owned_;
  Communicator& inner_;
  Memory& memory_;
};

}  // namespace

std::unique_ptr<Communicator> in_memory(Communicator& inner, Memory& memory) {
  return std::make_unique<Relocated>(inner, memory);
}

}  // namespace hearth::test

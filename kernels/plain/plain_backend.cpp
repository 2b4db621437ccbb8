#include "kernels/backend.h"
#include "kernels/plain/plain_ops.h"

namespace hearth {

namespace {

class PlainBackend final : public Backend {
 public:
  Memory& memory() override { return memory_; }
  Ops& ops() override { return ops_; }
  std::size_t workspace_bytes(const Workload&) override { return 0; }
  std::string description() const override { return "plain, 1 thread, sums in f64"; }

 private:
  HostMemory memory_;
  plain::PlainOps ops_;
};

}  // namespace

std::unique_ptr<Backend> make_plain_backend() {
  return std::make_unique<PlainBackend>();
}

}  // namespace hearth

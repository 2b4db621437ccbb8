// What a plan needs to know of a machine in order to predict times: rates that large operations reach, not those of
// data sheets. Read from YAML; h100 and h200 lie in recipes/machines.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "base/file.h"
#include "kernels/backend.h"

namespace hearth {

struct Machine {
  enum class Device { cpu, cuda };
  std::string name;
  Device device = Device::cuda;
  double memory = 0;   // bytes of one device
  double runtime = 0;  // bytes of it that are no tensors: context, libraries, buffers of communicators

  /// FLOP/s of the data sheet, dense, by the dtype of the factors: what utilisation is a share of.
  std::map<Dtype, double> peaks;
  /// FLOP/s that large products reach.
  std::map<Dtype, double> products;
  /// Of a CPU: how a run makes products of bf16 there. Not said: either way.
  std::optional<Bf16Products> bf16_products;

  /// FLOP/s of attention over long rows, counting what the causal mask leaves and five products in backward; over rows
  /// of `length` tokens it reaches length / (length + half) of it.
  struct Attention {
    double forward = 0;
    double backward = 0;
    double half_forward = 0;  // tokens
    double half_backward = 0;
  };
  std::map<Dtype, Attention> attention;

  double bandwidth = 0;  // bytes/s, read and written, of operations that do nothing but pass memory
  double op = 0;         // seconds that any operation takes at least

  int node = 1;  // devices that share the links inside
  /// One device's share, in one direction, all of them sending at once.
  struct Link {
    double gather = 0;   // bytes/s
    double reduce = 0;   // bytes/s of sums
    double latency = 0;  // seconds from one rank, or node, to the next of the ring
  };
  Link inside, across;

  /// What runs beside products: weights on their way, gradients on theirs.
  bool hides_gathers = true;
  bool hides_reduces = true;
};

/// Seconds of a collective in which each of `ranks` ranks, `stride` apart in the order of the mesh, gives `bytes`.
double gather_seconds(const Machine& machine, double bytes, int ranks, int stride);
double reduce_seconds(const Machine& machine, double bytes, int ranks, int stride);
/// Seconds of a message to the rank `stride` away.
double message_seconds(const Machine& machine, double bytes, int stride);

/// Throws Kind::usage naming file, key, value and what is expected.
Machine read_machine(const Path& file);
Machine parse_machine(std::string_view yaml, const std::string& where);
/// Reading it gives an equal machine. `heading`: a comment for its first lines.
std::string to_yaml(const Machine& machine, const std::string& heading);

}  // namespace hearth

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/check.h"
#include "kernels/plain/plain_ops.h"
#include "kernels/plain/values.h"

namespace hearth::plain {

namespace {

struct Range {
  std::int64_t first, last;
};

// The keys that query t sees.
Range seen(const std::vector<std::int64_t>& first, const std::vector<std::int64_t>& last, std::int64_t t,
           std::int64_t window) {
  Range range{first[static_cast<std::size_t>(t)], last[static_cast<std::size_t>(t)]};
  if (window > 0) range.first = std::max(range.first, range.last - window);
  return range;
}

double dot(const Values& a, std::int64_t a_row, std::int64_t a_from, const Values& b, std::int64_t b_row,
           std::int64_t b_from, std::int64_t count) {
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += a(a_row, a_from + i) * b(b_row, b_from + i);
  return total;
}

}  // namespace

void PlainOps::attention(In q, In k, In v, In first, In last, AttentionShape shape, Out y, Out log_sum) {
  check::attention(q, k, v, first, last, y, log_sum);
  const Values queries = read(q);
  const Values keys = read(k);
  const Values values = read(v);
  const std::vector<std::int64_t> firsts = read_integers(first);
  const std::vector<std::int64_t> lasts = read_integers(last);
  const std::int64_t heads = q.dims[1];
  const std::int64_t group = heads / k.dims[1];
  const std::int64_t width = q.dims[2];
  Values result(queries.rows, queries.columns);
  Values log_sums(queries.rows, heads);
  std::vector<double> scores;
  for (std::int64_t t = 0; t < queries.rows; ++t) {
    const Range range = seen(firsts, lasts, t, shape.window);
    for (std::int64_t n = 0; n < heads; ++n) {
      const std::int64_t from = n / group * width;
      double largest = -std::numeric_limits<double>::infinity();
      scores.clear();
      for (std::int64_t s = range.first; s < range.last; ++s) {
        scores.push_back(shape.scale * dot(queries, t, n * width, keys, s, from, width));
        largest = std::max(largest, scores.back());
      }
      double total = 0;
      for (double& score : scores) total += (score = std::exp(score - largest));
      log_sums(t, n) = scores.empty() ? largest : largest + std::log(total);
      for (std::size_t i = 0; i < scores.size(); ++i) {
        for (std::int64_t h = 0; h < width; ++h) {
          result(t, n * width + h) += scores[i] / total * values(range.first + static_cast<std::int64_t>(i), from + h);
        }
      }
    }
  }
  plain::write(result, y);
  plain::write(log_sums, log_sum);
}

void PlainOps::attention_merge(In part, In part_log_sum, Out y, Out log_sum) {
  check::attention_merge(part, part_log_sum, y, log_sum);
  const Values parts = read(part);
  const Values part_log_sums = read(part_log_sum);
  Values result = read(y);
  Values log_sums = read(log_sum);
  constexpr double none = -std::numeric_limits<double>::infinity();
  const std::int64_t width = y.dims[2];
  for (std::int64_t t = 0; t < log_sums.rows; ++t) {
    for (std::int64_t n = 0; n < log_sums.columns; ++n) {
      const double a = log_sums(t, n);
      const double b = part_log_sums(t, n);
      if (a == none && b == none) continue;  // neither has seen a key, and infinity - infinity is no number
      const double both = std::max(a, b) + std::log1p(std::exp(-std::abs(a - b)));
      for (std::int64_t h = n * width; h < (n + 1) * width; ++h) {
        result(t, h) = std::exp(a - both) * result(t, h) + std::exp(b - both) * parts(t, h);
      }
      log_sums(t, n) = both;
    }
  }
  plain::write(result, y);
  plain::write(log_sums, log_sum);
}

// With P = exp(scale q k^T - log_sum), dP = dy v^T and d = rowsum(dy * y):  dS = P * (dP - d), dq = scale dS k,
// dk = scale dS^T q, dv = P^T dy.
void PlainOps::attention_backward(In q, In k, In v, In first, In last, AttentionShape shape, In y, In log_sum, In dy,
                                  Out dq, Out dk, Out dv) {
  check::attention_backward(q, k, v, first, last, y, log_sum, dy, dq, dk, dv);
  const Values queries = read(q);
  const Values keys = read(k);
  const Values values = read(v);
  const Values outputs = read(y);
  const Values log_sums = read(log_sum);
  const Values gradient = read(dy);
  const std::vector<std::int64_t> firsts = read_integers(first);
  const std::vector<std::int64_t> lasts = read_integers(last);
  const std::int64_t heads = q.dims[1];
  const std::int64_t group = heads / k.dims[1];
  const std::int64_t width = q.dims[2];
  Values dqueries = read(dq);
  Values dkeys = read(dk);
  Values dvalues = read(dv);
  for (std::int64_t t = 0; t < queries.rows; ++t) {
    const Range range = seen(firsts, lasts, t, shape.window);
    for (std::int64_t n = 0; n < heads; ++n) {
      const std::int64_t from = n / group * width;
      const double delta = dot(gradient, t, n * width, outputs, t, n * width, width);
      for (std::int64_t s = range.first; s < range.last; ++s) {
        const double score = shape.scale * dot(queries, t, n * width, keys, s, from, width);
        const double p = std::exp(score - log_sums(t, n));
        const double ds = shape.scale * p * (dot(gradient, t, n * width, values, s, from, width) - delta);
        for (std::int64_t h = 0; h < width; ++h) {
          dqueries(t, n * width + h) += ds * keys(s, from + h);
          dkeys(s, from + h) += ds * queries(t, n * width + h);
          dvalues(s, from + h) += p * gradient(t, n * width + h);
        }
      }
    }
  }
  plain::write(dqueries, dq);
  plain::write(dkeys, dk);
  plain::write(dvalues, dv);
}

}  // namespace hearth::plain

#include "trainer/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace hearth {

namespace {

constexpr int least_bar = 8;
constexpr int most_bar = 40;

int columns_of(std::FILE* out) {
  winsize size{};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return size.ws_col;
}

/// "1234", "12.3k", "4.5M"
std::string short_count(double value) {
  if (value >= 9.9995e5) return fmt::format("{:.1f}M", value / 1e6);
  if (value >= 9999.5) return fmt::format("{:.1f}k", value / 1e3);
  return fmt::format("{:.0f}", value);
}

/// "1.2345", "1.23e+06", "nan"; "-" where nothing was measured.
std::string short_value(const std::optional<double>& value) {
  if (!value) return "-";
  return std::abs(*value) < 1e4 ? fmt::format("{:.4f}", *value) : fmt::format("{:.3g}", *value);
}

}  // namespace

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 4> units = {"KiB", "MiB", "GiB", "TiB"};
  double value = bytes / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, value < 10 ? 1 : 0, units[unit]);
}

std::string device_text(double bytes) {
  const double gibi = bytes / 1073741824.0;
  if (gibi < 1 || gibi >= 1024) return bytes_text(bytes);
  std::string digits = fmt::format("{:.2f}", gibi);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits + " GiB";
}

std::string line_text(const StepRecord& r) {
  return fmt::format("step {}/{}  loss {}  lr {:.3g}  norm {}  {} tok/s  left {}  memory {}", r.step, r.total_steps,
                     short_value(r.loss), r.rate.value_or(0), short_value(r.norm), short_count(r.throughput),
                     hours(r.remaining), bytes_text(static_cast<double>(r.peak_memory)));
}

std::string bar_text(const StepRecord& r, int columns, bool colors) {
  const int room = std::max(1, columns - 1);  // a full last column would wrap
  const double share =
      r.total_steps <= 0 ? 1.0 : std::clamp(static_cast<double>(r.step) / static_cast<double>(r.total_steps), 0.0, 1.0);
  const std::string total = std::to_string(r.total_steps);
  const std::string left = fmt::format("{:3.0f}% ", std::floor(100 * share));
  // As many of these as leave a bar to look at; widths keep still while numbers grow.
  const std::string parts[] = {
      fmt::format(" {:>{}}/{}", r.step, total.size(), total),
      "  loss " + short_value(r.loss),
      "  left " + hours(r.remaining),
      fmt::format("  {:>5} tok/s", short_count(r.throughput)),
      "  " + bytes_text(static_cast<double>(r.peak_memory)),
  };
  std::string right;
  for (const std::string& part : parts) {
    if (static_cast<int>(left.size() + right.size() + part.size()) + least_bar > room) break;
    right += part;
  }
  const int width = std::min(most_bar, room - static_cast<int>(left.size() + right.size()));
  if (width < 1) return left.substr(0, static_cast<std::size_t>(room));
  const auto full = static_cast<int>(share * width);
  std::string done, open;
  for (int i = 0; i < width; ++i) (i < full ? done : open) += i < full ? "━" : "─";
  if (!colors) return left + done + open + right;
  return left + "\033[32m" + done + "\033[0;2m" + open + "\033[0m" + right;
}

Progress::Progress(ProgressStyle style, bool colors, std::int64_t every, std::FILE* out)
    : style_(style), colors_(colors), every_(std::max<std::int64_t>(1, every)), out_(out) {}

Progress::~Progress() {
  end();
}

void Progress::clear() {
  if (!bar_.empty()) std::fputs("\r\033[K", out_);
}

void Progress::draw() {
  std::fputs(bar_.c_str(), out_);
  std::fflush(out_);
}

void Progress::step(const StepRecord& record, bool last) {
  last = last || record.step == record.total_steps;
  if (style_ == ProgressStyle::bar && (last || std::abs(record.elapsed - last_drawn_) >= 0.1)) {
    last_drawn_ = record.elapsed;
    clear();
    bar_ = bar_text(record, columns_of(out_), colors_);
    draw();
  }
  if (style_ == ProgressStyle::lines && (last || record.step % every_ == 0)) {
    std::fputs((line_text(record) + "\n").c_str(), out_);
    std::fflush(out_);
  }
}

void Progress::note(const std::string& text) {
  if (style_ == ProgressStyle::none) return;
  clear();
  std::fputs((text + "\n").c_str(), out_);
  draw();
}

void Progress::end() {
  if (!bar_.empty()) std::fputs("\n", out_);
  bar_.clear();
  std::fflush(out_);
}

}  // namespace hearth

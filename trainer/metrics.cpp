#include "trainer/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/error.h"

namespace hearth {

namespace {

using Json = nlohmann::ordered_json;

/// JSON has no NaN: such a value is written as text, so that it is seen.
void put(Json& line, const char* name, const std::optional<double>& value) {
  if (!value) return;
  if (std::isfinite(*value)) {
    line[name] = *value;
  } else {
    line[name] = std::isnan(*value) ? "nan" : (*value > 0 ? "inf" : "-inf");
  }
}

std::optional<double> take(const Json& line, const char* name) {
  const auto found = line.find(name);
  if (found == line.end()) return std::nullopt;
  if (found->is_number()) return found->get<double>();
  if (*found == "nan") return std::nan("");
  if (*found == "inf") return HUGE_VAL;
  if (*found == "-inf") return -HUGE_VAL;
  return std::nullopt;
}

double number(const Json& line, const char* name) {
  const double value = take(line, name).value_or(0);
  return std::isfinite(value) ? value : 0;
}

std::int64_t whole(const Json& line, const char* name, std::int64_t otherwise = 0) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
}

std::string text_of(const StepRecord& r) {
  Json line;
  line["current_steps"] = r.step;
  line["total_steps"] = r.total_steps;
  put(line, "loss", r.loss);
  put(line, "eval_loss", r.eval_loss);
  put(line, "exact_match", r.exact_match);
  put(line, "lr", r.rate);
  put(line, "grad_norm", r.norm);
  line["epoch"] = r.epoch;
  const double share = r.total_steps == 0 ? 1.0 : static_cast<double>(r.step) / static_cast<double>(r.total_steps);
  line["percentage"] = std::round(1e4 * share) / 100;
  line["elapsed_time"] = hours(r.elapsed);
  line["remaining_time"] = hours(r.remaining);
  line["elapsed_seconds"] = r.elapsed;
  line["throughput"] = r.throughput;
  line["total_tokens"] = r.tokens;
  line["trained_tokens"] = r.trained_tokens;
  line["peak_memory"] = static_cast<double>(r.peak_memory) / (1 << 30);
  line["attempt"] = r.attempt;
  return line.dump() + "\n";
}

std::optional<StepRecord> record_of(const std::string& text) {
  const Json line = Json::parse(text, nullptr, false);
  if (!line.is_object() || whole(line, "current_steps", -1) < 0) return std::nullopt;
  StepRecord r;
  r.step = whole(line, "current_steps");
  r.total_steps = whole(line, "total_steps");
  r.loss = take(line, "loss");
  r.eval_loss = take(line, "eval_loss");
  r.exact_match = take(line, "exact_match");
  r.rate = take(line, "lr");
  r.norm = take(line, "grad_norm");
  r.epoch = number(line, "epoch");
  r.elapsed = number(line, "elapsed_seconds");
  r.throughput = number(line, "throughput");
  r.tokens = whole(line, "total_tokens");
  r.trained_tokens = whole(line, "trained_tokens");
  r.peak_memory = static_cast<std::uint64_t>(std::clamp(number(line, "peak_memory"), 0.0, 1e9) * (1 << 30));
  r.attempt = whole(line, "attempt", 1);
  return r;
}

struct LogLine {
  std::string text;
  StepRecord record;
};

/// The lines that hold a record. Where steps go back, the later line stands and those that it repeats fall.
std::vector<LogLine> lines_of(const Path& log) {
  std::vector<LogLine> lines;
  std::istringstream in(read_text(log));
  for (std::string text; std::getline(in, text);) {
    auto record = record_of(text);
    if (!record) continue;
    while (!lines.empty() && lines.back().record.step >= record->step) lines.pop_back();
    lines.push_back({std::move(text), std::move(*record)});
  }
  return lines;
}

void write_all(int descriptor, const std::string& text, const Path& path) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t now = ::write(descriptor, text.data() + done, text.size() - done);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) fail(Kind::storage, "cannot write {}: {}", path.string(), std::strerror(errno));
    done += static_cast<std::size_t>(now);
  }
}

}  // namespace

std::string hours(double seconds) {
  const auto whole_seconds = static_cast<std::int64_t>(std::clamp(std::isnan(seconds) ? 0 : seconds, 0.0, 1e12) + 0.5);
  return fmt::format("{}:{:02}:{:02}", whole_seconds / 3600, whole_seconds / 60 % 60, whole_seconds % 60);
}

std::vector<StepRecord> read_metrics(const Path& log) {
  std::vector<StepRecord> records;
  for (LogLine& line : lines_of(log)) records.push_back(std::move(line.record));
  return records;
}

MetricsLog::MetricsLog(const Path& output_dir, std::int64_t step) : path_(output_dir / "trainer_log.jsonl") {
  if (std::filesystem::exists(path_)) {
    const auto lines = lines_of(path_);
    for (const LogLine& line : lines) {
      attempt_ = std::max(attempt_, line.record.attempt + 1);
      // A run that begins again measures step 0 again, too.
      if (step > 0 && line.record.step < step) kept_ += line.text + "\n";
      if (step > 0 && line.record.step == step) last_ = line.text + "\n";
    }
  }
  open();
}

MetricsLog::~MetricsLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MetricsLog::open() {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    const int error = errno;
    fail(error == EACCES ? Kind::machine : Kind::storage, "cannot write {}: {}", path_.string(), std::strerror(error));
  }
}

void MetricsLog::append(StepRecord record) {
  record.attempt = attempt_;
  const std::string line = text_of(record);
  if (appended_) return write_all(descriptor_, line, path_);
  // Until now the log stands as the last attempt left it: an attempt that does no step undoes none, and its number is
  // free for the next.
  kept_ += std::exchange(last_, line);
  write_kept();
}

void MetricsLog::amend(const StepRecord& measured) {
  require(!appended_, "a line is amended before one is appended");
  StepRecord alone = measured;
  alone.attempt = attempt_;
  Json line = Json::parse(last_.empty() ? text_of(alone) : last_);  // the constructor has read it
  put(line, "eval_loss", measured.eval_loss);
  put(line, "exact_match", measured.exact_match);
  last_ = line.dump() + "\n";
  write_kept();
}

void MetricsLog::write_kept() {
  write_file(path_, kept_ + last_);
  kept_ = std::string();
  ::close(std::exchange(descriptor_, -1));
  open();
  appended_ = true;
}

}  // namespace hearth

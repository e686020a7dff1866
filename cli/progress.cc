#include "cli/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "cli/output.h"

namespace kvs::cli {
namespace {

constexpr std::chrono::milliseconds between_draws{100};

std::size_t terminal_columns() {
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string shown_amount(std::uint64_t amount, Progress::Unit unit) {
  if (unit == Progress::Unit::bytes) return shown_bytes(amount);
  return shown_count(amount) + (unit == Progress::Unit::keys ? " keys" : " requests");
}

}  // namespace

std::string shown_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  static constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1023.95 && unit + 1 < units.size()) {
    amount /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", amount, units[unit]);
  return text.data();
}

std::string shown_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string shown_duration(double seconds) {
  const auto whole = static_cast<unsigned long long>(std::ceil(std::max(0.0, seconds)));
  std::array<char, 40> text{};
  if (seconds < 10) {
    std::snprintf(text.data(), text.size(), "%.1f s", std::max(0.0, seconds));
  } else if (whole < 3600) {
    std::snprintf(text.data(), text.size(), "%llu:%02llu", whole / 60, whole % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%llu:%02llu:%02llu", whole / 3600, whole / 60 % 60,
                  whole % 60);
  }
  return text.data();
}

Progress::Progress(std::string label, std::optional<std::uint64_t> total, Unit unit)
    : label_(std::move(label)), total_(total), unit_(unit), terminal_(is_terminal(STDERR_FILENO)) {}

Progress::~Progress() {
  clear();
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - begin_).count();
}

void Progress::clear() {
  if (!std::exchange(drawn_, false)) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

void Progress::update(std::uint64_t done) {
  if (!terminal_ || Clock::now() < next_draw_) return;
  next_draw_ = Clock::now() + between_draws;
  drawn_ = true;
  std::fprintf(stderr, "\r\x1b[K%s", line(done, seconds(), terminal_columns()).c_str());
  std::fflush(stderr);
}

std::string Progress::line(std::uint64_t done, double seconds, std::size_t columns) const {
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string text = " " + shown_amount(done, unit_) + ", " +
                     shown_amount(static_cast<std::uint64_t>(rate), unit_) + "/s";
  if (!total_ || *total_ == 0) return (label_ + text).substr(0, columns - 1);
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(*total_));
  if (rate > 0) {
    const double left = static_cast<double>(*total_) - static_cast<double>(done);
    text += ", " + shown_duration(left / rate) + " left";
  }
  const std::string percent = std::to_string(static_cast<int>(part * 100)) + "%";
  text = " " + std::string(4 - std::min<std::size_t>(4, percent.size()), ' ') + percent + text;
  const std::size_t taken = label_.size() + text.size() + 4;
  if (taken + 10 > columns) return (label_ + text).substr(0, columns - 1);
  const std::size_t width = std::min<std::size_t>(40, columns - taken);
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(width));
  return label_ + " [" + std::string(filled, '#') + std::string(width - filled, '.') + "]" + text;
}

}  // namespace kvs::cli

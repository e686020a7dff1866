// progress.h - how far a long work is: a bar with rate and remaining time on a terminal, nothing
// elsewhere. It goes to stderr, so that stdout has the data alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace kvs::cli {

// "1.2 MiB", "734 B".
std::string shown_bytes(std::uint64_t bytes);
// "1234567" as "1,234,567".
std::string shown_count(std::uint64_t count);
// "0.8 s", "1:05", "2:03:04".
std::string shown_duration(double seconds);

class Progress {
 public:
  enum class Unit : std::uint8_t { keys, bytes, requests };

  // `total` is what update() comes to at the end; none: unknown, no bar and no remaining time.
  Progress(std::string label, std::optional<std::uint64_t> total, Unit unit);
  // Leaves an empty line where the bar was.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draws at most ten times a second.
  void update(std::uint64_t done);
  // Takes the bar away, so that something else can be printed; the next update draws it again.
  void clear();

  double seconds() const;

  // The line for these numbers, for update() and its test.
  std::string line(std::uint64_t done, double seconds, std::size_t columns) const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  std::optional<std::uint64_t> total_;
  Unit unit_;
  bool drawn_ = false;
  const bool terminal_;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_draw_ = begin_;
};

}  // namespace kvs::cli

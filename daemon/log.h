// log.h - one line per event, on stderr and nowhere else.
//
// Under systemd stderr is the journal's socket: lines then start with "<N>", the syslog priority
// that journald understands, and carry no timestamp of their own, since the journal has a better
// one. Anywhere else a line is "2024-05-01 12:00:00.123 warning: text" in UTC.
//
// The functions below work from the first line of main on, before any option is known, and from
// every thread. Whatever bytes a message holds, it stays one line: control characters are escaped
// on the way out. spdlog does the writing; this header shows only fmt, so that files which log stay
// quick to compile.
//
// Not here: files, rotation, syslog. That is the journal's work, or the shell's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace kvs::daemon {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

// Parses a name as --loglevel takes it: debug, info, warning, error, and Redis' verbose (= debug)
// and notice (= info).
std::optional<LogLevel> parse_log_level(std::string_view name);
std::string_view to_string(LogLevel level);

// Sets up the log at level info: the first line of main. Without it the first message does the
// same.
void start_log();

// Lines below `level` are dropped from now on.
void set_log_level(LogLevel level);
LogLevel log_level();

// Writes one line. Thread: any; blocks for as long as stderr's reader does.
void log_line(LogLevel level, std::string_view text);

// Formats and writes one line, unless the level is below the one wanted.
void log_formatted(LogLevel level, fmt::string_view format, fmt::format_args arguments);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(LogLevel::debug, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(LogLevel::info, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(LogLevel::warning, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_formatted(LogLevel::error, format, fmt::make_format_args(args...));
}

// Returns `bytes` as printable ASCII: quotes and backslashes escaped, everything else as \n, \r, \t
// or \xHH; longer input is cut at `bytes_max` and ends in "...". Use it for whatever a client sent.
std::string escaped(std::string_view bytes, std::size_t bytes_max = 128);

// Lets one event through per interval, for messages that a client could cause without end.
// Thread: any.
class RateLimit {
 public:
  explicit constexpr RateLimit(std::chrono::steady_clock::duration interval) noexcept
      : interval_(interval.count()) {}

  // Returns how many events were held back since the last one that passed, or nullopt when this one
  // is to be held back too.
  std::optional<std::uint64_t> admit(
      std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now()) noexcept;

 private:
  using Ticks = std::chrono::steady_clock::rep;
  static constexpr Ticks unset = INT64_MIN;

  const Ticks interval_;
  std::atomic<Ticks> next_{unset};
  std::atomic<std::uint64_t> held_back_{0};
};

}  // namespace kvs::daemon

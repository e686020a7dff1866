// log.cc - the process' one log: spdlog's stderr sink behind plain functions.
//
// The logger is the only object of the server that is not wired by main: a message may be due
// before main has anything to wire, and after everything is gone.
#include "daemon/log.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/stat.h>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace kvs::daemon {
namespace {

// Is stderr the socket that systemd connected to the journal? JOURNAL_STREAM is "device:inode" of
// it (systemd.exec(5)); a child whose stderr was redirected inherits the variable but not the
// socket.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string_view syslog_prefix(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "<7>";
    case LogLevel::info:
      return "<6>";
    case LogLevel::warning:
      return "<4>";
    case LogLevel::error:
      return "<3>";
  }
  return "<3>";
}

void append_escaped(fmt::memory_buffer& out, unsigned char byte) {
  switch (byte) {
    case '\n':
      out.append(std::string_view("\\n"));
      break;
    case '\r':
      out.append(std::string_view("\\r"));
      break;
    case '\t':
      out.append(std::string_view("\\t"));
      break;
    default:
      fmt::format_to(fmt::appender(out), "\\x{:02x}", byte);
  }
}

bool is_control(unsigned char byte) {
  return byte < 0x20 || byte == 0x7f;
}

struct Log {
  Log() : journal(stderr_is_journal()) {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    // Names as --loglevel has them; UTC, so that lines sort and need no zone file.
    const char* pattern = journal ? "%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v";
    sink->set_formatter(
        std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    logger = std::make_unique<spdlog::logger>("kvs", std::move(sink));
    logger->set_level(spdlog::level::info);
    // A log that cannot be written is not a reason to stop serving, and there is nobody to tell.
    logger->set_error_handler([](const std::string&) {});
  }

  const bool journal;
  std::unique_ptr<spdlog::logger> logger;  // thread-safe by itself
};

// Never destroyed: threads and destructors may log until the very end of the process.
Log& the_log() {
  static Log* log = std::make_unique<Log>().release();
  return *log;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) {
  if (name == "debug" || name == "verbose") return LogLevel::debug;
  if (name == "info" || name == "notice") return LogLevel::info;
  if (name == "warning") return LogLevel::warning;
  if (name == "error") return LogLevel::error;
  return std::nullopt;
}

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

void start_log() {
  the_log();
}

void set_log_level(LogLevel level) {
  the_log().logger->set_level(to_spdlog(level));
}

LogLevel log_level() {
  switch (the_log().logger->level()) {
    case spdlog::level::debug:
      return LogLevel::debug;
    case spdlog::level::info:
      return LogLevel::info;
    case spdlog::level::warn:
      return LogLevel::warning;
    default:
      return LogLevel::error;
  }
}

void log_line(LogLevel level, std::string_view text) {
  Log& log = the_log();
  if (!log.logger->should_log(to_spdlog(level))) return;
  fmt::memory_buffer line;
  if (log.journal) line.append(syslog_prefix(level));
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (is_control(byte)) {
      append_escaped(line, byte);
    } else {
      line.push_back(character);
    }
  }
  log.logger->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

void log_formatted(LogLevel level, fmt::string_view format, fmt::format_args arguments) {
  if (!the_log().logger->should_log(to_spdlog(level))) return;
  fmt::memory_buffer text;
  fmt::vformat_to(fmt::appender(text), format, arguments);
  log_line(level, std::string_view(text.data(), text.size()));
}

std::string escaped(std::string_view bytes, std::size_t bytes_max) {
  fmt::memory_buffer out;
  for (const char character : bytes.substr(0, bytes_max)) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      out.push_back('\\');
      out.push_back(character);
    } else if (is_control(byte) || byte >= 0x80) {
      append_escaped(out, byte);
    } else {
      out.push_back(character);
    }
  }
  if (bytes.size() > bytes_max) out.append(std::string_view("..."));
  return fmt::to_string(out);
}

std::optional<std::uint64_t> RateLimit::admit(std::chrono::steady_clock::time_point now) noexcept {
  const Ticks ticks = now.time_since_epoch().count();
  Ticks next = next_.load(std::memory_order_relaxed);
  // Whoever moves `next_` forward is the one that passes.
  if ((next != unset && ticks < next) ||
      !next_.compare_exchange_strong(next, ticks + interval_, std::memory_order_relaxed)) {
    held_back_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return held_back_.exchange(0, std::memory_order_relaxed);
}

}  // namespace kvs::daemon

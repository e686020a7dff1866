// log_test.cc - what a line looks like, what stays out of it, and how often it may come.
#include "daemon/log.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/config/parsing.h"

namespace kvs::daemon {
namespace {

using namespace std::chrono_literals;

std::string logged(LogLevel level, std::string_view text) {
  testing::Captured err(STDERR_FILENO);
  log_line(level, text);
  return err.text();
}

TEST_CASE("a line has a timestamp, its level and the text") {
  const std::string line = logged(LogLevel::warning, "disk is full");
  // 2024-05-01 12:00:00.123 warning: disk is full
  REQUIRE(line.size() > 24);
  std::string shape = line.substr(0, 24);
  std::replace_if(
      shape.begin(), shape.end(), [](char c) { return c >= '0' && c <= '9'; }, '9');
  CHECK(shape == "9999-99-99 99:99:99.999 ");
  CHECK(line.substr(24) == "warning: disk is full\n");
  CHECK(logged(LogLevel::error, "x").substr(24) == "error: x\n");
  CHECK(logged(LogLevel::info, "x").substr(24) == "info: x\n");
}

TEST_CASE("text is formatted, and braces in plain text are not") {
  testing::Captured err(STDERR_FILENO);
  log_info("{} of {}", 1, "two");
  log_line(LogLevel::info, "{} %v {0}");
  const std::string lines = err.text();
  CHECK(lines.find("info: 1 of two\n") != lines.npos);
  CHECK(lines.find("info: {} %v {0}\n") != lines.npos);
}

TEST_CASE("one message is one line, whatever it holds") {
  const std::string line = logged(LogLevel::info, "a\nb\r\x1b[0m\tc\x7f");
  CHECK(line.substr(24) == "info: a\\nb\\r\\x1b[0m\\tc\\x7f\n");
}

TEST_CASE("lines below the level are dropped") {
  CHECK(logged(LogLevel::debug, "x").empty());
  set_log_level(LogLevel::debug);
  CHECK(log_level() == LogLevel::debug);
  CHECK(!logged(LogLevel::debug, "x").empty());
  set_log_level(LogLevel::error);
  CHECK(logged(LogLevel::warning, "x").empty());
  CHECK(!logged(LogLevel::error, "x").empty());
  set_log_level(LogLevel::info);
}

TEST_CASE("level names include those of redis.conf") {
  CHECK(parse_log_level("verbose") == LogLevel::debug);
  CHECK(parse_log_level("notice") == LogLevel::info);
  for (auto level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error}) {
    CHECK(parse_log_level(to_string(level)) == level);
  }
  CHECK(!parse_log_level("Info"));
  CHECK(!parse_log_level(""));
}

// The journal is recognised when the log starts, so this needs a process whose stderr is the stream
// that JOURNAL_STREAM names from its first line on.
std::string logged_by_child(bool name_the_stream) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  struct stat status {};
  REQUIRE(::fstat(ends[1], &status) == 0);
  const std::string stream = std::to_string(status.st_dev) + ":" +
                             std::to_string(name_the_stream ? status.st_ino : status.st_ino + 1);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::execl("/proc/self/exe", "test", "--test-case=(child) *", "--no-skip", "--out=/dev/null",
            nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  char chunk[512];
  for (ssize_t bytes; (bytes = ::read(ends[0], chunk, sizeof(chunk))) > 0;) {
    text.append(chunk, static_cast<std::size_t>(bytes));
  }
  ::close(ends[0]);
  int child_status = 0;
  ::waitpid(child, &child_status, 0);
  CHECK(child_status == 0);
  return text;
}

TEST_CASE("(child) logs one line of each level" * doctest::skip()) {
  start_log();
  set_log_level(LogLevel::debug);
  log_error("e");
  log_warning("w");
  log_info("i");
  log_debug("d");
}

TEST_CASE("under the journal a line has a priority and no timestamp") {
  CHECK(logged_by_child(true) == "<3>e\n<4>w\n<6>i\n<7>d\n");
}

TEST_CASE("a stderr that is not the journal's stream gets timestamps") {
  const std::string lines = logged_by_child(false);
  CHECK(lines.find(" error: e\n") != lines.npos);
  CHECK(lines.find('<') == lines.npos);
}

TEST_CASE("escaped bytes are printable and bounded") {
  using namespace std::string_view_literals;
  CHECK(escaped("plain text") == "plain text");
  CHECK(escaped("a\0b\n\"\\\xff"sv) == "a\\x00b\\n\\\"\\\\\\xff");
  CHECK(escaped(std::string(129, 'x')) == std::string(128, 'x') + "...");
  CHECK(escaped("abcd", 2) == "ab...");
}

TEST_CASE("a rate limit lets one event through per interval and counts the rest") {
  RateLimit limit(1min);
  const std::chrono::steady_clock::time_point start{5s};
  CHECK(limit.admit(start) == 0);
  CHECK(!limit.admit(start));
  CHECK(!limit.admit(start + 59s));
  CHECK(limit.admit(start + 60s) == 2);
  CHECK(!limit.admit(start + 61s));
  CHECK(limit.admit(start + 10min) == 1);
}

TEST_CASE("of many threads one passes, and none is forgotten") {
  RateLimit limit(1min);
  const std::chrono::steady_clock::time_point start{5s};
  std::atomic<unsigned> passed{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (unsigned n = 0; n < 1000; ++n) {
        if (limit.admit(start)) ++passed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(passed == 1);
  CHECK(limit.admit(start + 1min).value_or(0) <= 7999);
  CHECK(!limit.admit(start + 1min));
}

}  // namespace
}  // namespace kvs::daemon

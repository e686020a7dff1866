#include "daemon/slow_log.h"

#include <algorithm>

#include "daemon/client.h"
#include "daemon/redaction.h"
#include "daemon/wall_clock.h"

namespace kvs::daemon {

namespace {

constexpr std::size_t words_max = 32;
constexpr std::size_t word_bytes_max = 128;

std::vector<std::string> kept_words(const Command& command, Args args) {
  const Redaction redaction(command, args);
  const std::size_t kept = std::min(args.size(), words_max);
  std::vector<std::string> words;
  for (std::size_t i = 0; i < kept; ++i) {
    if (kept < args.size() && i + 1 == kept) {
      words.push_back("... (" + std::to_string(args.size() - kept + 1) + " more arguments)");
      continue;
    }
    const std::string_view word = redaction.shown(i);
    words.emplace_back(word.substr(0, word_bytes_max));
    if (word.size() > word_bytes_max) {
      words.back() += "... (" + std::to_string(word.size() - word_bytes_max) + " more bytes)";
    }
  }
  return words;
}

}  // namespace

void SlowLog::add(const Command& command, Args args, std::chrono::nanoseconds took,
                  ClientShared& client, std::size_t entries_max) {
  SlowCall call;
  call.unix_seconds = wall_clock_ms() / 1000;
  call.microseconds = took.count() / 1000;
  call.words = kept_words(command, args);
  call.address = client.address;
  {
    std::scoped_lock lock(client.mutex);
    call.name = client.name;
  }
  std::scoped_lock lock(mutex_);
  call.id = next_id_++;
  calls_.push_front(std::move(call));
  while (calls_.size() > entries_max) calls_.pop_back();
}

std::vector<SlowCall> SlowLog::newest(std::int64_t count) const {
  std::scoped_lock lock(mutex_);
  const auto all = static_cast<std::int64_t>(calls_.size());
  return {calls_.begin(), calls_.begin() + (count < 0 ? all : std::min(count, all))};
}

std::size_t SlowLog::size() const {
  std::scoped_lock lock(mutex_);
  return calls_.size();
}

void SlowLog::clear() {
  std::scoped_lock lock(mutex_);
  calls_.clear();
}

void SlowLog::shrink(std::size_t entries_max) {
  std::scoped_lock lock(mutex_);
  while (calls_.size() > entries_max) calls_.pop_back();
}

}  // namespace kvs::daemon

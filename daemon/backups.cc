#include "daemon/backups.h"

#include <ctime>
#include <utility>

#include "daemon/context.h"
#include "daemon/log.h"

namespace kvs::daemon {

Backups::~Backups() {
  stop();
}

// Takes the one place there is.
Result<void> Backups::begin() {
  if (root_.empty()) {
    return fail(Code::invalid, "backups are disabled: start the server with --backup-dir");
  }
  std::scoped_lock lock(mutex_);
  if (stopping_) return fail(Code::busy, "the server is shutting down");
  if (status_.running) return fail(Code::busy, "Background save already in progress");
  status_.running = true;
  began_ = std::chrono::steady_clock::now();
  return {};
}

Result<BackupSummary> Backups::run(const std::string& name) {
  auto summary = services_.engine.backup(
      {.root = root_, .name = name, .cancelled = [this] { return stopping_.load(); }});
  {
    std::scoped_lock lock(mutex_);
    const auto took = std::chrono::steady_clock::now() - began_;
    status_.running = false;
    status_.last_ok = summary.has_value();
    status_.last_took_seconds = std::chrono::duration_cast<std::chrono::seconds>(took).count();
    if (summary) {
      ++status_.completed;
      status_.last_completed_unix_seconds = std::time(nullptr);
      status_.last_name = name;
      status_.last = *summary;
      status_.last_error.clear();
    } else {
      status_.last_error = summary.error().message();
    }
  }
  if (summary) {
    log_info("backup {}: {} files of {} bytes, {} of them new with {} bytes, position {}{}", name,
             summary->files, summary->bytes, summary->new_files, summary->new_bytes,
             summary->position,
             summary->copied_bytes > 0 ? " (copied: --backup-dir is on another file system)" : "");
  } else {
    log_error("backup {} failed: {}", escaped(name), summary.error().message());
  }
  return summary;
}

Result<BackupSummary> Backups::make(const std::string& name) {
  if (auto begun = begin(); !begun) return std::unexpected(begun.error());
  return run(name);
}

Result<void> Backups::start() {
  if (auto begun = begin(); !begun) return begun;
  std::string name = name_for_now();
  std::thread before;
  {
    std::scoped_lock lock(mutex_);
    before = std::move(thread_);
    thread_ = std::thread([this, name = std::move(name)] { (void)run(name); });
  }
  // It has ended, or is about to: its place was free.
  if (before.joinable()) before.join();
  return {};
}

std::string Backups::name_for_now() const {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[64] = "";
  std::strftime(text, sizeof text, "save-%Y%m%dT%H%M%SZ", &parts);
  std::string name = text;
  std::error_code ignored;
  for (int number = 2; std::filesystem::exists(root_ / name, ignored); ++number) {
    name = std::string(text) + "-" + std::to_string(number);
  }
  return name;
}

Backups::Status Backups::status() const {
  std::scoped_lock lock(mutex_);
  Status status = status_;
  if (status.running) {
    const auto took = std::chrono::steady_clock::now() - began_;
    status.current_seconds = std::chrono::duration_cast<std::chrono::seconds>(took).count();
  }
  return status;
}

void Backups::stop() {
  std::thread thread;
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

}  // namespace kvs::daemon

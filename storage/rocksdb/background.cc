#include "storage/rocksdb/background.h"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <utility>

namespace kvs::rocks {
namespace {

using Severity = EngineOptions::Severity;

class ForwardingLogger final : public rocksdb::Logger {
 public:
  explicit ForwardingLogger(std::shared_ptr<Background> background)
      : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), background_(std::move(background)) {}

  using Logger::Logv;
  void LogHeader(const char* /*format*/, va_list /*arguments*/) override {}
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level > rocksdb::InfoLogLevel::FATAL_LEVEL) return;
    std::array<char, 1024> text{};
    const int length = std::vsnprintf(text.data(), text.size(), format, arguments);
    if (length < 0) return;
    const bool warning = level == rocksdb::InfoLogLevel::WARN_LEVEL;
    background_->tell(warning ? Severity::warning : Severity::error,
                      std::string("rocksdb: ") + text.data());
  }

 private:
  const std::shared_ptr<Background> background_;
};

class Listener final : public rocksdb::EventListener {
 public:
  explicit Listener(std::shared_ptr<Background> background) : background_(std::move(background)) {}

  void OnCompactionCompleted(rocksdb::DB* /*db*/, const rocksdb::CompactionJobInfo& job) override {
    if (!job.status.ok()) return;
    background_->compactions.fetch_add(1, std::memory_order_relaxed);
    background_->compacted_bytes.fetch_add(job.stats.total_output_bytes, std::memory_order_relaxed);
  }

  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* status) override {
    background_->tell(Severity::error, "rocksdb stops writing: " + status->ToString());
    // After a full disk RocksDB looks every few seconds whether there is space, and goes on.
    if (!status->IsNoSpace()) background_->health.fail(status->ToString());
  }

 private:
  const std::shared_ptr<Background> background_;
};

}  // namespace

Error to_error(const rocksdb::Status& status, std::string_view what) {
  Code code = Code::io;
  if (status.IsNoSpace()) code = Code::no_space;
  if (status.IsCorruption()) code = Code::corrupt;
  return Error(code, "cannot " + std::string(what) + ": " + status.ToString());
}

std::shared_ptr<rocksdb::Logger> make_logger(std::shared_ptr<Background> background) {
  return std::make_shared<ForwardingLogger>(std::move(background));
}

std::shared_ptr<rocksdb::EventListener> make_listener(std::shared_ptr<Background> background) {
  return std::make_shared<Listener>(std::move(background));
}

}  // namespace kvs::rocks

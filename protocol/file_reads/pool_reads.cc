#include "protocol/file_reads/pool_reads.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <unistd.h>
#include <utility>

namespace kvs::uv {
namespace {

constexpr std::size_t transfer_bytes_max = std::size_t{1} << 30;

}  // namespace

PoolReads::PoolReads(Loop& loop, const FileReadsOptions& options) {
  assert(options.pool_jobs > 0);
  for (unsigned i = 0; i < options.pool_jobs; ++i) jobs_.emplace_back(*this, loop);
}

PoolReads::~PoolReads() {
  assert(waiting_.empty());
}

void PoolReads::submit() {
  // One read for each idle job first, then a second: what is few runs side by side.
  for (std::size_t place = 0; place < job_reads_max; ++place) {
    for (Job& job : jobs_) {
      if (waiting_.empty()) break;
      if (job.busy) continue;
      ReadOperation& read = waiting_.pop();
      read.state_ = ReadOperation::State::under_way;
      job.reads[place] = &read;
    }
  }
  for (Job& job : jobs_) {
    if (job.busy || job.reads[0] == nullptr) continue;
    job.busy = true;
    job.work.start();
  }
}

void PoolReads::run(Job& job) {
  for (ReadOperation* const& place : job.reads) {
    {
      const std::scoped_lock lock(mutex_);
      job.reading = place;
      if (job.reading == nullptr) continue;
    }
    // Whoever wants to destroy it waits while it stands in `reading`.
    ReadOperation& read = *job.reading;
    std::int64_t result = 0;
    do {
      const auto out = read.rest().first(std::min(read.rest().size(), transfer_bytes_max));
      result = ::pread(read.descriptor_, out.data(), out.size(),
                       static_cast<off_t>(read.next_offset_bytes()));
      if (result < 0) result = -errno;
    } while (!read.advance(result));
    const std::scoped_lock lock(mutex_);
    job.reading = nullptr;
    read_ended_.notify_all();
  }
}

void PoolReads::finished(Job& job) {
  // Telling a parent may destroy reads that are still in here, and start others.
  for (ReadOperation*& place : job.reads) {
    if (ReadOperation* const read = std::exchange(place, nullptr)) read->finish();
  }
  job.busy = false;
  submit();
}

void PoolReads::abandon(ReadOperation& read) noexcept {
  if (waiting_.remove(read)) return;
  std::unique_lock lock(mutex_);
  for (Job& job : jobs_) {
    const auto place = std::find(job.reads.begin(), job.reads.end(), &read);
    if (place == job.reads.end()) continue;
    read_ended_.wait(lock, [&] { return job.reading != &read; });
    *place = nullptr;
    return;
  }
}

}  // namespace kvs::uv

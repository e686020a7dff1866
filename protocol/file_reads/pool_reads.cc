#include "protocol/file_reads/pool_reads.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace kvs::uv {
namespace {

constexpr std::size_t transfer_bytes_max = std::size_t{1} << 30;
// Copying more than this would keep the loop's other connections waiting.
constexpr std::size_t inline_bytes_max = std::size_t{64} << 10;

}  // namespace

// What the page cache has needs no thread: one system call here instead of a hop there and back.
bool PoolReads::enqueue(ReadOperation& read) noexcept {
  if (read.out_.size() <= inline_bytes_max) {
    iovec out{.iov_base = read.out_.data(), .iov_len = read.out_.size()};
    const ssize_t got =
        ::preadv2(read.descriptor_, &out, 1, static_cast<off_t>(read.offset_bytes_), RWF_NOWAIT);
    // Anything else, an error and the end of the file included, is for the blocking call to say.
    if (got > 0 && read.advance(got)) {
      read.state_ = ReadOperation::State::done;
      return true;
    }
  }
  waiting_.push(read);
  return false;
}

PoolReads::PoolReads(Loop& loop, const FileReadsOptions& options) {
  assert(options.pool_jobs > 0);
  for (unsigned i = 0; i < options.pool_jobs; ++i) {
    jobs_.push_back(std::make_shared<Job>(*this, loop));
  }
}

PoolReads::~PoolReads() {
  assert(waiting_.empty());
  for (const auto& job : jobs_) job->owner = nullptr;
}

void PoolReads::submit() {
  // One read for each idle job first, then a second: what is few runs side by side.
  for (std::size_t place = 0; place < job_reads_max; ++place) {
    for (const auto& job : jobs_) {
      if (waiting_.empty()) break;
      if (job->busy) continue;
      ReadOperation& read = waiting_.pop();
      read.state_ = ReadOperation::State::under_way;
      job->reads[place] = &read;
    }
  }
  for (const auto& job : jobs_) {
    if (job->busy || job->reads[0] == nullptr) continue;
    job->busy = true;
    job->self = job;
    job->work.start();
  }
}

void PoolReads::abandon(ReadOperation& read) noexcept {
  if (waiting_.remove(read)) return;
  for (const auto& job : jobs_) {
    if (job->give_up(read)) return;
  }
}

PoolReads::Job::Job(PoolReads& reads_of, Loop& loop)
    : owner(&reads_of),
      work(
          loop, [this] { run(); }, [this] { finished(); }) {}

void PoolReads::Job::run() {
  for (ReadOperation* const& place : reads) {
    {
      const std::scoped_lock lock(mutex);
      reading = place;
      if (reading == nullptr) continue;
    }
    // Whoever wants to destroy it waits while it stands in `reading`.
    ReadOperation& read = *reading;
    std::int64_t result = 0;
    do {
      const auto out = read.rest().first(std::min(read.rest().size(), transfer_bytes_max));
      result = ::pread(read.descriptor_, out.data(), out.size(),
                       static_cast<off_t>(read.next_offset_bytes()));
      if (result < 0) result = -errno;
    } while (!read.advance(result));
    const std::scoped_lock lock(mutex);
    reading = nullptr;
    read_ended.notify_all();
  }
}

void PoolReads::Job::finished() {
  const std::shared_ptr<Job> until_done = std::move(self);
  // Telling a parent may drop reads that are still in here, and start others.
  for (ReadOperation*& place : reads) {
    if (ReadOperation* const read = std::exchange(place, nullptr)) read->finish();
  }
  busy = false;
  if (owner != nullptr) owner->submit();
}

bool PoolReads::Job::give_up(const ReadOperation& read) {
  std::unique_lock lock(mutex);
  const auto place = std::find(reads.begin(), reads.end(), &read);
  if (place == reads.end()) return false;
  read_ended.wait(lock, [&] { return reading != &read; });
  *place = nullptr;
  return true;
}

}  // namespace kvs::uv

#include "daemon/cold_reads.h"

#include <cassert>
#include <span>
#include <utility>

#include "daemon/config.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/wanted_values.h"

namespace kvs::daemon {
namespace {

std::unique_ptr<uv::FileReads> open_reads(uv::Loop& loop, ColdReadMethod wanted) {
  if (wanted != ColdReadMethod::pool) {
    auto ring = uv::open_file_reads(
        loop, {.method = uv::ReadMethod::io_uring, .depth = limits::cold_reads_under_way_max});
    if (ring) return std::move(*ring);
    // Whoever chose has said so for all loops; what one loop is refused alone is worth a line.
    log_debug("cold reads of a loop use the pool: {}", ring.error().message());
  }
  auto pool = uv::open_file_reads(
      loop, {.method = uv::ReadMethod::pool, .pool_jobs = limits::cold_read_jobs_max});
  assert(pool);
  return std::move(*pool);
}

}  // namespace

ColdReads::ColdReads(uv::Loop& loop, Services& services, WorkerMetrics& metrics)
    : services_(services), metrics_(metrics), reads_(open_reads(loop, services.config.cold_reads)) {
  metrics_.has_ring.store(reads_->method() == uv::ReadMethod::io_uring);
}

void ColdReads::Done::plan() {
  const Client& client = *entry_.client;
  if (owner_.services_.load_status.loading() || !client.authenticated) {
    left_out_ = true;
    return;
  }
  const auto visit = [this, &client](std::string_view name) { want({client.database, name}); };
  for (const Request& request : entry_.requests) {
    if (left_out_) break;
    if (request.command == nullptr) continue;
    visit_wanted_values(*request.command, request.args, visit);
    if (request.command->has(in_session)) visit_wanted_values_of_transaction(client, visit);
  }
}

void ColdReads::Done::want(Key key) {
  if (left_out_) return;
  auto read = owner_.services_.engine.plan_cold_read(key);
  if (!read) {
    left_out_ = true;
    return;
  }
  if (!*read) return;
  // With what it takes to read it: a request can name very many very small values.
  const std::size_t bytes = (*read)->bytes + sizeof(Wanted);
  if ((*read)->bytes > limits::cold_read_bytes_max ||
      held_bytes_ + bytes > limits::read_ahead_bytes_max ||
      owner_.held_bytes_ + bytes > limits::loop_read_ahead_bytes_max) {
    left_out_ = true;
    return;
  }
  // The same value again, most often in a row.
  if (!wanted_.empty() && wanted_.back().read.lsn == (*read)->lsn) return;
  held_bytes_ += bytes;
  owner_.held_bytes_ += bytes;
  wanted_.emplace_back(*this, key, *std::move(*read));
}

bool ColdReads::Done::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  missing_ = wanted_.size();
  for (Wanted& wanted : wanted_) {
    // GCC 12 hands the callback the capacity instead of the size.
    wanted.bytes.resize_and_overwrite(wanted.read.bytes,
                                      [&wanted](char*, std::size_t) { return wanted.read.bytes; });
    wanted.operation.emplace(*owner_.reads_, wanted.read.descriptor, wanted.read.offset_bytes,
                             std::span(wanted.bytes));
    if (wanted.operation->start(wanted)) --missing_;
  }
  return missing_ > 0;
}

void ColdReads::Done::one_is_there() noexcept {
  if (--missing_ == 0) waiter_.resume();
}

void ColdReads::Done::await_resume() {
  for (Wanted& wanted : wanted_) {
    const auto got = wanted.operation->take();
    wanted.operation.reset();
    if (got) wanted.bytes.resize(*got);
    if (!got || !owner_.services_.engine.finish_cold_read(wanted.key, wanted.read, wanted.bytes)) {
      left_out_ = true;  // whoever asks for it will be told why
      continue;
    }
    owner_.metrics_.cold_reads.fetch_add(1, std::memory_order_relaxed);
    entry_.read_ahead.keep(wanted.read.lsn, std::move(wanted.bytes));
  }
  wanted_.clear();
  if (!left_out_) entry_.read_ahead.set_complete();
}

}  // namespace kvs::daemon

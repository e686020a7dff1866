#include "protocol/uv/loop_thread.h"

#include <cassert>
#include <csignal>
#include <string>
#include <system_error>

namespace kvs::uv {

Result<std::unique_ptr<LoopThread>> LoopThread::start() {
  auto started = std::make_unique<LoopThread>();
  // Signals belong to the program's own threads: this one inherits a mask that blocks them all.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<void> outcome;
  try {
    started->thread_ = std::thread([loop = &started->loop_] { loop->run(); });
  } catch (const std::system_error& refused) {
    outcome = fail(Code::io, "cannot start a thread: " + std::string(refused.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!outcome) return std::unexpected(std::move(outcome).error());
  return started;
}

LoopThread::~LoopThread() {
  if (!thread_.joinable()) return;
  assert(thread_.get_id() != std::this_thread::get_id());
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace kvs::uv

#include "protocol/client/pipeline.h"

#include <cassert>
#include <utility>

namespace kvs::client {
namespace {

Task<PipelineReplies> await_pipeline(PipelineOperation operation) {
  co_return co_await operation;
}

}  // namespace

PipelineOperation::PipelineOperation(std::shared_ptr<Session> session, std::string requests,
                                     std::vector<std::size_t> begins)
    : home_(std::move(session)), requests_(std::move(requests)), begins_(std::move(begins)) {}

PipelineOperation::PipelineOperation(PipelineOperation&& other) noexcept
    : Exchange(),
      home_(std::move(other.home_)),
      requests_(std::move(other.requests_)),
      begins_(std::move(other.begins_)) {
  assert(!other.started());
}

bool PipelineOperation::start(Completion& done) {
  assert(home_);
  if (begins_.empty()) return true;
  done_ = &done;
  answers_.reserve(begins_.size());
  Result<void> begun;
  for (std::size_t index = 0; index < begins_.size() && begun; ++index) {
    const std::size_t end = index + 1 < begins_.size() ? begins_[index + 1] : requests_.size();
    if (begins_[index] == end) {
      begun = fail(Code::invalid, "a command needs at least one word");
    }
  }
  if (begun) begun = home_->submit(*this);
  if (begun) {
    return false;
  }
  refused_ = std::move(begun).error();
  return true;
}

PipelineReplies PipelineOperation::take() {
  if (refused_) return std::unexpected(std::move(*refused_));
  return std::move(answers_);
}

void PipelineOperation::answered(Result<Reply> reply) {
  answers_.push_back(std::move(reply));
  if (answers_.size() == begins_.size()) done_->complete();  // may destroy this
}

template <class Command>
Pipeline& Pipeline::add(const Command& command) {
  begins_.push_back(requests_.size());
  command.encode(requests_);
  return *this;
}

Pipeline& Pipeline::get(std::string_view key) {
  return add(commands::Get{key});
}

Pipeline& Pipeline::set(std::string_view key, std::string_view value, const SetOptions& options) {
  return add(commands::Set{key, value, options});
}

Pipeline& Pipeline::remove(std::string_view key) {
  return add(commands::Remove{key});
}

Pipeline& Pipeline::increment(std::string_view key, std::int64_t by) {
  return add(commands::Increment{key, by});
}

Pipeline& Pipeline::command(std::span<const std::string_view> words) {
  if (!words.empty()) return add(commands::Any{words});
  begins_.push_back(requests_.size());  // found out when it is run
  return *this;
}

PipelineOperation Pipeline::run_op() {
  return PipelineOperation(session_, std::exchange(requests_, {}), std::exchange(begins_, {}));
}

Task<PipelineReplies> Pipeline::run() {
  return await_pipeline(run_op());
}

Future<PipelineReplies> Pipeline::run_future() {
  return boxed(run_op());
}

}  // namespace kvs::client

// pipeline.h - many commands as one: collected, sent in one write, answered in order.
//
//   Pipeline pipeline = client.pipeline();
//   pipeline.set("a", "1").get("a").command({"INCR", "a"});
//   auto running = pipeline.run();
//   Result<std::vector<Result<Reply>>> replies = co_await std::move(running);
//
// Not a transaction: other clients' commands may come between (MULTI and EXEC are commands like any
// other). Commands that are issued at the same time on their own leave in one write, too; a
// Pipeline spares them a future each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/future.h"
#include "protocol/async/operation.h"
#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/client/commands.h"
#include "protocol/client/exchange.h"
#include "protocol/client/reply.h"
#include "protocol/client/session.h"

namespace kvs::client {

// One entry per command, in order; an error reply is that entry's Code::server. The whole is an
// error when nothing was sent.
using PipelineReplies = Result<std::vector<Result<Reply>>>;

// The whole pipeline as a future written by hand; rules as for CommandOperation.
class [[nodiscard]] PipelineOperation final : Exchange {
 public:
  using value_type = PipelineReplies;

  PipelineOperation(std::shared_ptr<Session> session, std::string requests,
                    std::vector<std::size_t> begins);
  PipelineOperation(PipelineOperation&& other) noexcept;
  PipelineOperation& operator=(PipelineOperation&&) = delete;
  ~PipelineOperation() { withdraw(); }

  bool start(Completion& done);
  value_type take();
  auto operator co_await() noexcept { return OperationAwaiter<PipelineOperation>(*this); }

 private:
  std::size_t replies() const override { return begins_.size(); }
  void encode(std::string& output) const override { output.append(requests_); }
  std::size_t offset(std::size_t index) const override { return begins_[index]; }
  void answered(Result<Reply> reply) override;

  std::shared_ptr<Session> home_;
  std::string requests_;
  std::vector<std::size_t> begins_;  // of each command in requests_
  Completion* done_ = nullptr;
  std::vector<Result<Reply>> answers_;
  std::optional<Error> refused_;
};

// Thread: running it, the loop's; collecting, any.
class Pipeline {
 public:
  explicit Pipeline(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  Pipeline& get(std::string_view key);
  Pipeline& set(std::string_view key, std::string_view value, const SetOptions& options = {});
  Pipeline& remove(std::string_view key);
  Pipeline& increment(std::string_view key, std::int64_t by = 1);
  // At least one word; a command of none makes the whole pipeline Code::invalid.
  Pipeline& command(std::span<const std::string_view> words);
  Pipeline& command(std::initializer_list<std::string_view> words) {
    return command(std::span<const std::string_view>(words.begin(), words.size()));
  }

  std::size_t size() const noexcept { return begins_.size(); }

  // Each takes what was collected and leaves the pipeline empty, for the next batch. An empty
  // pipeline is answered at once, with no replies.
  Task<PipelineReplies> run();
  PipelineOperation run_op();
  Future<PipelineReplies> run_future();

 private:
  template <class Command>
  Pipeline& add(const Command& command);

  std::shared_ptr<Session> session_;
  std::string requests_;
  std::vector<std::size_t> begins_;
};

}  // namespace kvs::client

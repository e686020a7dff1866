// operation.h - a command as a future written by hand (kvs::Operation of protocol/async).
//
// It is the state machine itself: made with the command's words, started by whoever awaits it, told
// its reply by the connection. It lives where its owner puts it and allocates nothing: the request
// is encoded straight into the connection's output.
#pragma once

#include <cassert>
#include <memory>
#include <optional>
#include <utility>

#include "protocol/async/operation.h"
#include "protocol/async/result.h"
#include "protocol/client/commands.h"
#include "protocol/client/exchange.h"
#include "protocol/client/session.h"

namespace kvs::client {

// Sent when started, done on the loop's thread with its reply.
// Errors:   see errors.h; an error reply is Code::server.
// Lifetime: the command's words until it is started. It may be moved until then, and destroyed at
//           any time; a command that was sent is executed all the same.
// Thread:   start and destroy it, once started, on the loop's.
template <class Command>
class [[nodiscard]] CommandOperation final : Exchange {
 public:
  using value_type = Result<typename Command::Value>;

  CommandOperation(std::shared_ptr<Session> session, Command command)
      : home_(std::move(session)), command_(std::move(command)) {}
  CommandOperation(CommandOperation&& other) noexcept
      : Exchange(), home_(std::move(other.home_)), command_(std::move(other.command_)) {
    assert(!other.started());
  }
  CommandOperation& operator=(CommandOperation&&) = delete;
  ~CommandOperation() { withdraw(); }

  bool start(Completion& done) {
    assert(home_);
    done_ = &done;
    Result<void> begun = begin();
    if (begun) return false;
    result_.emplace(std::unexpected(std::move(begun).error()));
    return true;
  }
  value_type take() {
    assert(result_);
    return std::move(*result_);
  }
  auto operator co_await() noexcept { return OperationAwaiter<CommandOperation>(*this); }

 private:
  Result<void> begin() {
    if constexpr (requires { command_.check(); }) {
      if (Result<void> checked = command_.check(); !checked) return checked;
    }
    return home_->submit(*this);
  }

  void encode(std::string& output) const override { command_.encode(output); }
  void answered(Result<Reply> reply) override {
    if (reply) {
      result_.emplace(Command::decode(std::move(*reply)));
    } else {
      result_.emplace(std::unexpected(std::move(reply).error()));
    }
    done_->complete();  // may destroy this
  }

  std::shared_ptr<Session> home_;
  Command command_;
  Completion* done_ = nullptr;
  std::optional<value_type> result_;
};

using GetOperation = CommandOperation<commands::Get>;
using SetOperation = CommandOperation<commands::Set>;
using GetAndSetOperation = CommandOperation<commands::GetAndSet>;
using RemoveOperation = CommandOperation<commands::Remove>;
using ExistsOperation = CommandOperation<commands::Exists>;
using ExpireOperation = CommandOperation<commands::Expire>;
using TimeToLiveOperation = CommandOperation<commands::TimeToLive>;
using IncrementOperation = CommandOperation<commands::Increment>;
using GetManyOperation = CommandOperation<commands::GetMany>;
using SetManyOperation = CommandOperation<commands::SetMany>;
using ScanOperation = CommandOperation<commands::Scan>;
using AnyOperation = CommandOperation<commands::Any>;

}  // namespace kvs::client

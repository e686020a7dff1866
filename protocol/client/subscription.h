// subscription.h - publish/subscribe as a sequence of messages, on a connection of its own.
//
//   auto opening = Subscription::open(loop, address);
//   Result<Subscription> news = co_await std::move(opening);
//   auto subscribing = news->subscribe({"news"});
//   Result<void> subscribed = co_await std::move(subscribing);
//   for (;;) {
//     auto next = news->next();
//     Result<Message> message = co_await next;
//     ...
//
// With options.reconnect a lost connection is made again and everything subscribed again; what was
// published meanwhile is lost, which Message::Kind::gap tells. Without it next() ends with an
// error.
//
// A consumer that is slower than the server is not drowned: above limits::messages_kept_max reading
// stops, and in the end the server drops the connection (its client-output-buffer-limit).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "protocol/async/operation.h"
#include "protocol/async/result.h"
#include "protocol/async/task.h"
#include "protocol/client/address.h"
#include "protocol/client/options.h"
#include "protocol/uv/loop.h"

namespace kvs::client {

struct Message {
  enum class Kind : std::uint8_t {
    message,
    gap,  // the connection was lost and made again: messages may be missing before the next one
  };

  Kind kind = Kind::message;
  std::string channel;
  std::string pattern;  // that matched it; empty: subscribed by its name
  std::string payload;

  bool operator==(const Message&) const = default;
};

// Thread: all members on the loop's. Moved, not copied; the last one closes the connection.
class Subscription {
 public:
  class State;
  class NextOperation;
  class ConfirmedOperation;
  using Names = std::vector<std::string>;

  // Errors: as Client::connect.
  static Task<Result<Subscription>> open(uv::Loop& loop, SocketAddress address,
                                         ConnectOptions options = {});

  Subscription(Subscription&&) noexcept = default;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();

  // Each says so to the server when it is called, and is over when the server has confirmed it; to
  // drop it takes nothing back.
  Task<Result<void>> subscribe(Names channels);
  Task<Result<void>> subscribe_patterns(Names patterns);
  // Of channels or patterns that are subscribed; messages on their way may still come.
  Task<Result<void>> unsubscribe(Names channels);
  Task<Result<void>> unsubscribe_patterns(Names patterns);

  // The next message, in the order of arrival. One at a time; an operation (protocol/async).
  // Errors: why there will be no more.
  NextOperation next();

 private:
  explicit Subscription(std::shared_ptr<State> state) : state_(std::move(state)) {}

  std::shared_ptr<State> state_;
};

class [[nodiscard]] Subscription::NextOperation {
 public:
  using value_type = Result<Message>;

  explicit NextOperation(std::shared_ptr<State> state) : state_(std::move(state)) {}
  NextOperation(NextOperation&&) noexcept = default;
  NextOperation& operator=(NextOperation&&) = delete;
  ~NextOperation();

  bool start(Completion& done);
  Result<Message> take();
  auto operator co_await() noexcept { return OperationAwaiter<NextOperation>(*this); }

 private:
  friend State;
  std::shared_ptr<State> state_;
  Completion* done_ = nullptr;
};

}  // namespace kvs::client

#include "protocol/client/subscription.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <optional>
#include <set>
#include <utility>

#include "protocol/client/limits.h"
#include "protocol/client/link.h"
#include "protocol/client/request.h"
#include "protocol/client/ring.h"

namespace kvs::client {
namespace {

enum class Verb : std::uint8_t { subscribe, psubscribe, unsubscribe, punsubscribe };

std::string_view word(Verb verb) {
  constexpr std::array<std::string_view, 4> words{"SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE",
                                                  "PUNSUBSCRIBE"};
  return words[static_cast<std::size_t>(verb)];
}

bool is_confirmation(const Reply& reply) {
  const std::string& kind = reply.elements[0].text;
  return kind == "subscribe" || kind == "psubscribe" || kind == "unsubscribe" ||
         kind == "punsubscribe";
}

}  // namespace

// Lives on the loop. Its waiters and its Subscription share it.
class Subscription::State final : public std::enable_shared_from_this<State>, Link::Listener {
 public:
  State(uv::Loop& loop, const SocketAddress& address, ConnectOptions options)
      : link_(loop, address, std::move(options), *this, Connection::Mode::pushes) {}
  ~State() = default;

  void start() { link_.start(); }

  void close() {
    if (ended_) return;
    end(Error(Code::cancelled, "the subscription was closed"));
    link_.close();
    // Not from here: the caller is in the middle of destroying its Subscription.
    if (next_ || !waiters_.empty()) {
      link_.loop().post([self = shared_from_this()] { self->wake_all(); });
    }
  }

  // Says it now if there is a connection, else as soon as there is one. Returns the number of the
  // confirmation to wait for.
  std::uint64_t say(Verb verb, const Names& names) {
    for (const std::string& name : names) {
      std::set<std::string>& known =
          verb == Verb::subscribe || verb == Verb::unsubscribe ? channels_ : patterns_;
      if (verb == Verb::subscribe || verb == Verb::psubscribe) {
        known.insert(name);
      } else {
        known.erase(name);
      }
    }
    if (link_.connection() && !names.empty()) send(verb, names);
    return said_;
  }

 private:
  friend NextOperation;
  friend ConfirmedOperation;

  template <class Range>
  void send(Verb verb, const Range& names) {
    if (names.empty()) return;
    std::string& output = link_.connection()->output();
    append_words_header(output, 1 + names.size());
    append_word(output, word(verb));
    for (const std::string& name : names) append_word(output, name);
    said_ += names.size();
    link_.connection()->send_soon();
  }

  void link_up() override;
  void link_down(const Error& why, Link::Next next) override;
  void link_pushed(Reply reply) override;

  void deliver(Message message);
  void end(Error why) {
    if (!ended_) ended_ = std::move(why);
  }
  void wake_next() {
    if (NextOperation* const next = std::exchange(next_, nullptr)) next->done_->complete();
  }
  void wake_confirmed();
  void wake_all() {
    const auto self = shared_from_this();
    wake_confirmed();
    wake_next();
  }
  // As Connection is told: above the limit nothing more is read.
  void mind_the_limit() {
    if (Connection* const connection = link_.connection()) {
      connection->set_reading(messages_.size() >= limits::messages_kept_max
                                  ? Transport::Reading::off
                                  : Transport::Reading::on);
    }
  }

  Link link_;
  bool was_up_ = false;
  std::set<std::string> channels_;  // what should be subscribed
  std::set<std::string> patterns_;
  std::uint64_t said_ = 0;       // names said on this connection, each of which is confirmed
  std::uint64_t confirmed_ = 0;  // of them

  Ring<Message> messages_;
  NextOperation* next_ = nullptr;
  std::vector<ConfirmedOperation*> waiters_;
  std::optional<Error> ended_;  // why there will be nothing more
};

// Until everything that was said up to a point has been confirmed.
class Subscription::ConfirmedOperation {
 public:
  using value_type = Result<void>;

  ConfirmedOperation(std::shared_ptr<State> state, std::uint64_t target)
      : state_(std::move(state)), target_(target) {}
  ConfirmedOperation(ConfirmedOperation&&) = delete;
  ~ConfirmedOperation() { std::erase(state_->waiters_, this); }

  bool start(Completion& done) {
    if (over()) return true;
    done_ = &done;
    state_->waiters_.push_back(this);
    return false;
  }
  Result<void> take() const {
    if (state_->ended_) return std::unexpected(*state_->ended_);
    return {};
  }
  auto operator co_await() noexcept { return OperationAwaiter<ConfirmedOperation>(*this); }

 private:
  friend State;
  bool over() const {
    return state_->ended_ || (state_->link_.connection() && state_->confirmed_ >= target_);
  }
  std::shared_ptr<State> state_;
  std::uint64_t target_;
  Completion* done_ = nullptr;
};

void Subscription::State::link_up() {
  const auto self = shared_from_this();
  said_ = 0;
  confirmed_ = 0;
  send(Verb::subscribe, channels_);
  send(Verb::psubscribe, patterns_);
  for (ConfirmedOperation* const waiter : waiters_) waiter->target_ = said_;
  mind_the_limit();
  if (std::exchange(was_up_, true)) deliver({.kind = Message::Kind::gap});
  wake_confirmed();
}

void Subscription::State::link_down(const Error& why, Link::Next next) {
  const auto self = shared_from_this();
  // The first attempt decides whether open() succeeds.
  if (was_up_ && next == Link::Next::tries_again) return;
  end(why);
  link_.close();
  wake_all();
}

void Subscription::State::link_pushed(Reply reply) {
  const auto self = shared_from_this();
  const auto give_up = [this](Code code, const std::string& what) {
    end(Error(code, what));
    link_.close();
    wake_all();
  };
  if (reply.kind == Reply::Kind::error) return give_up(Code::server, reply.text);
  const bool understood = reply.kind == Reply::Kind::array && !reply.elements.empty() &&
                          reply.elements[0].kind == Reply::Kind::string;
  const std::size_t words = reply.elements.size();
  if (understood && words == 3 && is_confirmation(reply)) {
    ++confirmed_;
    return wake_confirmed();
  }
  if (understood && words == 3 && reply.elements[0].text == "message") {
    return deliver({.channel = std::move(reply.elements[1].text),
                    .payload = std::move(reply.elements[2].text)});
  }
  if (understood && words == 4 && reply.elements[0].text == "pmessage") {
    return deliver({.channel = std::move(reply.elements[2].text),
                    .pattern = std::move(reply.elements[1].text),
                    .payload = std::move(reply.elements[3].text)});
  }
  give_up(Code::protocol, "the server sent what is no message");
}

void Subscription::State::deliver(Message message) {
  messages_.push_back(std::move(message));
  mind_the_limit();
  wake_next();
}

void Subscription::State::wake_confirmed() {
  // One at a time, since whoever is woken may add or drop others.
  for (;;) {
    const auto over = std::find_if(waiters_.begin(), waiters_.end(),
                                   [](const ConfirmedOperation* waiter) { return waiter->over(); });
    if (over == waiters_.end()) return;
    ConfirmedOperation* const waiter = *over;
    waiters_.erase(over);
    waiter->done_->complete();
  }
}

// --- The outside ----------------------------------------------------------------------------

namespace {

Task<Result<void>> confirmed(std::shared_ptr<Subscription::State> state, std::uint64_t target);

}  // namespace

Subscription::NextOperation::~NextOperation() {
  if (state_ && state_->next_ == this) state_->next_ = nullptr;
}

bool Subscription::NextOperation::start(Completion& done) {
  if (!state_->messages_.empty() || state_->ended_) return true;
  assert(!state_->next_);  // one at a time
  done_ = &done;
  state_->next_ = this;
  return false;
}

Result<Message> Subscription::NextOperation::take() {
  // What arrived before the end is handed out first.
  if (state_->messages_.empty()) return std::unexpected(*state_->ended_);
  Message message = state_->messages_.pop_front();
  state_->mind_the_limit();
  return message;
}

namespace {

Task<Result<void>> confirmed(std::shared_ptr<Subscription::State> state, std::uint64_t target) {
  Subscription::ConfirmedOperation operation(std::move(state), target);
  co_return co_await operation;
}

}  // namespace

Task<Result<Subscription>> Subscription::open(uv::Loop& loop, SocketAddress address,
                                              ConnectOptions options) {
  Subscription subscription(std::make_shared<State>(loop, address, std::move(options)));
  subscription.state_->start();
  ConfirmedOperation up(subscription.state_, 0);
  Result<void> outcome = co_await up;
  if (!outcome) co_return std::unexpected(std::move(outcome).error());
  co_return std::move(subscription);
}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Subscription::~Subscription() {
  if (state_) state_->close();
}

Task<Result<void>> Subscription::subscribe(Names channels) {
  return confirmed(state_, state_->say(Verb::subscribe, channels));
}

Task<Result<void>> Subscription::subscribe_patterns(Names patterns) {
  return confirmed(state_, state_->say(Verb::psubscribe, patterns));
}

Task<Result<void>> Subscription::unsubscribe(Names channels) {
  return confirmed(state_, state_->say(Verb::unsubscribe, channels));
}

Task<Result<void>> Subscription::unsubscribe_patterns(Names patterns) {
  return confirmed(state_, state_->say(Verb::punsubscribe, patterns));
}

Subscription::NextOperation Subscription::next() {
  return NextOperation(state_);
}

}  // namespace kvs::client

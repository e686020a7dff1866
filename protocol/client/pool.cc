#include "protocol/client/pool.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <utility>
#include <vector>

#include "protocol/client/limits.h"
#include "protocol/uv/timer.h"

namespace kvs::client {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// A place is the right to one connection; there are connections_max. Lives on the loop.
class ClientPool::State : public std::enable_shared_from_this<State> {
 public:
  class Turn;
  class Place;
  struct Idle {
    Client client;
    Clock::time_point since;
  };

  State(uv::Loop& loop, SocketAddress address, ConnectOptions connect, PoolOptions options)
      : loop_(loop),
        address_(std::move(address)),
        connect_(std::move(connect)),
        options_(options),
        timer_(std::make_unique<uv::Timer>(loop, [this] { expire(); })) {
    assert(options_.connections_max > 0);
    connect_.reconnect.reset();
  }

  void close();
  // A connection whose place goes on to its next user.
  void put_back(Client client) {
    if (!closed_ && client.connected()) idle_.push_back({std::move(client), Clock::now()});
    leave();
  }
  // Frees a place. Whoever is next is told from the loop: this may be a destructor.
  void leave() {
    assert(lent_ > 0);
    --lent_;
    if (!turns_.empty() && !closed_) {
      loop_.post([self = shared_from_this()] { self->admit(); });
    }
  }
  std::optional<Idle> take_idle() {
    if (idle_.empty()) return std::nullopt;
    // The one used last: the others may stay idle, and the server may forget them.
    Idle newest = std::move(idle_.back());
    idle_.pop_back();
    return newest;
  }

  bool has_room() const noexcept { return lent_ < options_.connections_max; }
  void admit();
  void expire();
  void arm_timer();

  uv::Loop& loop_;
  const SocketAddress address_;
  ConnectOptions connect_;
  const PoolOptions options_;
  bool closed_ = false;
  std::size_t lent_ = 0;  // places taken, also by those who are connecting
  std::vector<Idle> idle_;
  std::deque<Turn*> turns_;
  std::unique_ptr<uv::Timer> timer_;  // for the first of turns_; null once closed
};

// Waits for a place. Its value is an error or nothing; then the place is taken.
class ClientPool::State::Turn {
 public:
  using value_type = Result<void>;

  explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
  Turn(Turn&&) = delete;
  ~Turn() { std::erase(state_->turns_, this); }

  bool start(Completion& done) {
    State& state = *state_;
    if (state.closed_) {
      outcome_ = fail(Code::cancelled, "the pool was closed");
      return true;
    }
    if (state.has_room() && state.turns_.empty()) {
      ++state.lent_;
      return true;
    }
    if (state.turns_.size() >= limits::pool_waiters_max) {
      outcome_ = fail(Code::busy, "too many wait for a connection of the pool");
      return true;
    }
    done_ = &done;
    deadline_ = Clock::now() + state.options_.acquire_timeout;
    state.turns_.push_back(this);
    if (state.turns_.size() == 1) state.arm_timer();
    return false;
  }
  Result<void> take() { return outcome_; }
  auto operator co_await() noexcept { return OperationAwaiter<Turn>(*this); }

 private:
  friend State;
  std::shared_ptr<State> state_;
  Completion* done_ = nullptr;
  Clock::time_point deadline_;
  Result<void> outcome_;
};

// A place that was taken, until a lease has it: dropping the acquiring task gives it back.
class ClientPool::State::Place {
 public:
  explicit Place(std::shared_ptr<State> state) : state_(std::move(state)) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (state_) state_->leave();
  }
  std::shared_ptr<State> release() { return std::move(state_); }

 private:
  std::shared_ptr<State> state_;
};

void ClientPool::State::close() {
  closed_ = true;
  timer_.reset();
  idle_.clear();
  if (!turns_.empty()) {
    loop_.post([self = shared_from_this()] { self->admit(); });
  }
}

void ClientPool::State::admit() {
  const auto self = shared_from_this();
  while (!turns_.empty() && (closed_ || has_room())) {
    Turn* const turn = turns_.front();
    turns_.pop_front();
    if (closed_) {
      turn->outcome_ = fail(Code::cancelled, "the pool was closed");
    } else {
      ++lent_;
    }
    turn->done_->complete();
  }
}

void ClientPool::State::expire() {
  const auto self = shared_from_this();
  const Clock::time_point now = Clock::now();
  while (!turns_.empty() && turns_.front()->deadline_ <= now) {
    Turn* const turn = turns_.front();
    turns_.pop_front();
    turn->outcome_ =
        fail(Code::timeout, "no connection of the pool became free within " +
                                std::to_string(options_.acquire_timeout.count()) + " ms");
    turn->done_->complete();
  }
  if (!closed_) arm_timer();
}

void ClientPool::State::arm_timer() {
  if (turns_.empty() || options_.acquire_timeout.count() <= 0) return;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(turns_.front()->deadline_ - Clock::now());
  timer_->start_once(std::max(left, std::chrono::milliseconds(0)));
}

namespace {

Task<Result<ClientPool::Lease>> acquire_from(std::shared_ptr<ClientPool::State> state) {
  ClientPool::State::Turn turn(state);
  Result<void> ours = co_await turn;
  if (!ours) co_return std::unexpected(std::move(ours).error());
  ClientPool::State::Place place(state);

  for (;;) {
    std::optional<ClientPool::State::Idle> idle = state->take_idle();
    if (!idle) break;
    if (!idle->client.connected()) continue;
    if (Clock::now() - idle->since >= state->options_.check_after_idle) {
      const std::vector<std::string> ping{"PING"};
      auto asking = idle->client.command(ping);
      const Result<Reply> answer = co_await std::move(asking);
      if (!answer) continue;
    }
    co_return ClientPool::Lease(place.release(), std::move(idle->client));
  }

  auto connecting = Client::connect(state->loop_, state->address_, state->connect_);
  Result<Client> client = co_await std::move(connecting);
  if (!client) co_return std::unexpected(std::move(client).error());
  co_return ClientPool::Lease(place.release(), std::move(*client));
}

}  // namespace

ClientPool::ClientPool(uv::Loop& loop, SocketAddress address, ConnectOptions connect,
                       PoolOptions options)
    : state_(std::make_shared<State>(loop, std::move(address), std::move(connect), options)) {}

ClientPool::~ClientPool() {
  state_->close();
}

Task<Result<ClientPool::Lease>> ClientPool::acquire() {
  return acquire_from(state_);
}

Future<Result<ClientPool::Lease>> ClientPool::acquire_future() {
  return boxed(acquire_from(state_));
}

std::size_t ClientPool::idle() const noexcept {
  return state_->idle_.size();
}

std::size_t ClientPool::lent() const noexcept {
  return state_->lent_;
}

std::size_t ClientPool::waiting() const noexcept {
  return state_->turns_.size();
}

ClientPool::Lease::Lease(std::shared_ptr<State> state, Client client)
    : state_(std::move(state)), client_(std::move(client)) {}

ClientPool::Lease& ClientPool::Lease::operator=(Lease&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(client_, other.client_);
  return *this;
}

ClientPool::Lease::~Lease() {
  if (state_) state_->put_back(std::move(*client_));
}

void ClientPool::Lease::discard() {
  if (!state_) return;
  client_.reset();
  std::exchange(state_, nullptr)->leave();
}

}  // namespace kvs::client

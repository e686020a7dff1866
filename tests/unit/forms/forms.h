// forms.h - the four forms of asynchronous code, each as a way to start an operation of some
// interface, and to wait for one or for many.
//
// `Calls` names the interface: the engine's and the client's members have the same names, so that
// one set of forms serves both. `Wait` is how a store's thread waits (sync_wait, or a loop run).
#pragma once

#include <atomic>
#include <list>
#include <utility>
#include <vector>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/async/sync_wait.h"
#include "protocol/async/task.h"

namespace kvs::test {

// Blocks the calling thread: for operations that other threads complete.
struct BlockingWait {
  template <Operation O>
  auto operator()(O operation) const {
    return sync_wait(std::move(operation));
  }
};

// Each form has: name; get/set/remove(interface, ...), which return an operation; and all(wait,
// operations), the values of many that run at once.
struct Boxed {
  static constexpr const char* name = "boxed";
  static auto get(auto& in, std::string key) { return in.get_future(std::move(key)); }
  static auto set(auto& in, std::string key, std::string value) {
    return in.set_future(std::move(key), std::move(value));
  }
  static auto remove(auto& in, std::string key) { return in.remove_future(std::move(key)); }

  // They have been started; each is waited for in turn.
  template <class Wait, class O>
  static auto all(const Wait& wait, std::vector<O> operations) {
    std::vector<typename O::value_type> values;
    for (O& operation : operations) values.push_back(wait(std::move(operation)));
    return values;
  }
};

struct Combined {
  static constexpr const char* name = "combinators";
  // Through map, map_error and or_else, which must change nothing.
  static auto same(auto operation) {
    using Value = typename decltype(operation)::value_type;
    return or_else(map_error(std::move(operation), [](Error error) { return error; }),
                   [](Error error) { return ready(Value(std::unexpected(std::move(error)))); });
  }
  static auto get(auto& in, std::string key) {
    return map(same(in.get_op(std::move(key))), [](auto value) { return value; });
  }
  static auto set(auto& in, std::string key, std::string value) {
    return same(in.set_op(std::move(key), std::move(value)));
  }
  static auto remove(auto& in, std::string key) { return same(in.remove_op(std::move(key))); }

  template <class Wait, class O>
  static auto all(const Wait& wait, std::vector<O> operations) {
    return wait(when_all(std::move(operations)));
  }
};

struct Coroutine {
  static constexpr const char* name = "coroutine";
  static auto get(auto& in, std::string key) { return in.get(std::move(key)); }
  static auto set(auto& in, std::string key, std::string value) {
    return in.set(std::move(key), std::move(value));
  }
  static auto remove(auto& in, std::string key) { return in.remove(std::move(key)); }

  // Each is awaited from a coroutine of its own.
  template <class O>
  static Task<typename O::value_type> awaited(O operation) {
    auto value = co_await std::move(operation);
    co_return value;
  }
  template <class Wait, class O>
  static auto all(const Wait& wait, std::vector<O> operations) {
    std::vector<Task<typename O::value_type>> tasks;
    for (O& operation : operations) tasks.push_back(awaited(std::move(operation)));
    return wait(when_all(std::move(tasks)));
  }
};

struct ByHand {
  static constexpr const char* name = "by hand";
  static auto get(auto& in, std::string key) { return in.get_op(std::move(key)); }
  static auto set(auto& in, std::string key, std::string value) {
    return in.set_op(std::move(key), std::move(value));
  }
  static auto remove(auto& in, std::string key) { return in.remove_op(std::move(key)); }

  // Started and counted by an operation that is itself written by hand.
  template <class O>
  class All final : Completion {
   public:
    using value_type = std::vector<typename O::value_type>;
    explicit All(std::vector<O> operations) : operations_(std::move(operations)) {}
    All(All&& other) noexcept : operations_(std::move(other.operations_)) {}
    bool start(Completion& done) {
      parent_ = &done;
      missing_ = operations_.size() + 1;
      std::size_t at_once = 1;
      for (O& operation : operations_) at_once += operation.start(*this) ? 1 : 0;
      return missing_.fetch_sub(at_once) == at_once;
    }
    value_type take() {
      value_type values;
      for (O& operation : operations_) values.push_back(operation.take());
      return values;
    }

   private:
    void complete() noexcept override {
      if (missing_.fetch_sub(1) == 1) parent_->complete();
    }
    std::vector<O> operations_;
    std::atomic<std::size_t> missing_{0};
    Completion* parent_ = nullptr;
  };
  template <class Wait, class O>
  static auto all(const Wait& wait, std::vector<O> operations) {
    return wait(All<O>(std::move(operations)));
  }
};

// The part of a Store that a form makes out of an interface: derive from it and add reopen and
// compact. `in_flight_max` bounds what runs at once, for pools and servers that have a bound.
template <class Form, class Wait = BlockingWait>
class FormStore {
 public:
  explicit FormStore(Wait wait = {}, std::size_t in_flight_max = 10'000)
      : wait_(std::move(wait)), in_flight_max_(in_flight_max) {}

 protected:
  auto get_by(auto& in, std::string key) { return wait_(Form::get(in, std::move(key))); }
  auto set_by(auto& in, std::string key, std::string value) {
    return wait_(Form::set(in, std::move(key), std::move(value)));
  }
  auto remove_by(auto& in, std::string key) { return wait_(Form::remove(in, std::move(key))); }

  // `make(i)` for each i below `count`, as many at once as may be.
  template <class Make>
  auto all_of(std::size_t count, Make make) {
    using O = decltype(make(std::size_t{0}));
    std::vector<typename O::value_type> values;
    while (values.size() < count) {
      std::vector<O> wave;
      const std::size_t begin = values.size();
      const std::size_t end = std::min(count, begin + in_flight_max_);
      wave.reserve(end - begin);
      for (std::size_t i = begin; i < end; ++i) wave.push_back(make(i));
      for (auto& value : Form::all(wait_, std::move(wave))) values.push_back(std::move(value));
    }
    return values;
  }

 private:
  Wait wait_;
  std::size_t in_flight_max_;
};

}  // namespace kvs::test

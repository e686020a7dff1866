// race.h - the state machine under when_any and with_timeout: the first of several operations wins.
//
// The others are dropped when the winner's value is taken, which the awaiting side does as soon as
// it is told. Once somebody has won, no further operation is started.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <utility>

#include "protocol/async/operation.h"

namespace kvs::detail {

template <class Children>
class Race {
 public:
  explicit Race(Children children) : children_(std::move(children)), entries_(entries(children_)) {}
  Race(Race&& other) noexcept
      : children_(std::move(other.children_)), entries_(std::move(other.entries_)) {
    assert(other.parent_ == nullptr);
  }
  Race& operator=(Race&&) = delete;
  ~Race() { children_.drop(); }

  bool start(Completion& done) {
    parent_ = &done;
    for (Entry& entry : entries_) entry.race = this;
    for (std::size_t i = 0; i < children_.size(); ++i) {
      if (winner_.load(std::memory_order_acquire) != nobody) break;
      if (children_.start(i, entries_[i])) {
        if (claim(i)) return true;
        break;
      }
    }
    return (steps_.fetch_or(all_started, std::memory_order_acq_rel) & won) != 0;
  }

  std::size_t winner() const noexcept { return winner_.load(std::memory_order_acquire); }
  Children& children() noexcept { return children_; }

 private:
  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);
  static constexpr int all_started = 1;
  static constexpr int won = 2;

  struct Entry final : Completion {
    Race* race = nullptr;
    void complete() noexcept override {
      const auto index = static_cast<std::size_t>(this - race->entries_.data());
      if (!race->claim(index)) return;
      // While others are still being started, start() says it.
      const int before = race->steps_.fetch_or(won, std::memory_order_acq_rel);
      if ((before & all_started) != 0) race->parent_->complete();
    }
  };
  using Entries = typename Children::template PerChild<Entry>;

  static Entries entries(const Children& children) {
    if constexpr (requires(Entries made) { made.resize(1); }) {
      return Entries(children.size());
    } else {
      return Entries{};
    }
  }
  bool claim(std::size_t index) noexcept {
    std::size_t expected = nobody;
    return winner_.compare_exchange_strong(expected, index, std::memory_order_acq_rel);
  }

  Children children_;
  Entries entries_;
  std::atomic<std::size_t> winner_{nobody};
  std::atomic<int> steps_{0};
  Completion* parent_ = nullptr;
};

}  // namespace kvs::detail

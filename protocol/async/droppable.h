// droppable.h - an object that can be destroyed before its owner is.
//
// A std::optional that always starts with a value. Not std::optional: GCC 12 sees uninitialised
// memory in every move of one that holds an operation, and warns in the program that uses it.
#pragma once

#include <cassert>
#include <memory>
#include <utility>

namespace kvs::detail {

template <class T>
class Droppable {
 public:
  explicit Droppable(T value) : value_(std::move(value)) {}
  Droppable(Droppable&& other) noexcept : value_(std::move(other.value_)) {
    assert(!other.dropped_);
  }
  Droppable& operator=(Droppable&&) = delete;
  ~Droppable() { drop(); }

  T& operator*() noexcept { return value_; }
  const T& operator*() const noexcept { return value_; }
  T* operator->() noexcept { return &value_; }
  const T* operator->() const noexcept { return &value_; }

  // Destroys the object now. Does nothing when that has been done.
  // Not inline: GCC 12 would follow paths that destroy twice, and warn of them.
  [[gnu::noinline]] void drop() noexcept {
    if (!std::exchange(dropped_, true)) std::destroy_at(&value_);
  }

 private:
  union {
    T value_;
  };
  bool dropped_ = false;
};

}  // namespace kvs::detail

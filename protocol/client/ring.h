// ring.h - a queue that keeps its memory: in steady state, pushing and popping allocate nothing.
#pragma once

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace kvs::client {

template <class T>
class Ring {
 public:
  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  T& operator[](std::size_t index) noexcept {
    assert(index < size_);
    return cells_[(first_ + index) & (cells_.size() - 1)];
  }
  T& front() noexcept { return (*this)[0]; }

  void push_back(T value) {
    if (size_ == cells_.size()) grow();
    cells_[(first_ + size_) & (cells_.size() - 1)] = std::move(value);
    ++size_;
  }

  T pop_front() noexcept {
    T value = std::move(front());
    first_ = (first_ + 1) & (cells_.size() - 1);
    --size_;
    return value;
  }

 private:
  // The number of cells is a power of two.
  void grow() {
    std::vector<T> larger(cells_.empty() ? 16 : cells_.size() * 2);
    for (std::size_t index = 0; index < size_; ++index) larger[index] = std::move((*this)[index]);
    cells_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> cells_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace kvs::client

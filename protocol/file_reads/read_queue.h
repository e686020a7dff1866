// read_queue.h - reads in the order in which they came, linked through themselves.
#pragma once

namespace kvs::uv {

class ReadOperation;

// Thread: the loop's.
class ReadQueue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  void push(ReadOperation& read) noexcept;
  // Not when empty.
  ReadOperation& pop() noexcept;
  // Takes `read` out, wherever it is. Linear: only for what is given up. False: it was not in here.
  bool remove(ReadOperation& read) noexcept;

 private:
  ReadOperation* first_ = nullptr;
  ReadOperation* last_ = nullptr;
};

}  // namespace kvs::uv

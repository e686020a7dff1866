// children.h - the operations inside when_all, when_any and with_timeout: a tuple of different
// ones, or a sequence of equal ones.
//
// The two classes have one interface, so that the combinators are written once: how many there are,
// start the i-th, drop all.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include "protocol/async/droppable.h"
#include "protocol/async/operation.h"

namespace kvs::detail {

template <Operation... Os>
class TupleChildren {
 public:
  // One object of T for each child.
  template <class T>
  using PerChild = std::array<T, sizeof...(Os)>;

  explicit TupleChildren(Os... operations) : operations_(std::move(operations)...) {}

  static constexpr std::size_t size() noexcept { return sizeof...(Os); }
  bool start(std::size_t index, Completion& done) {
    bool complete = false;
    visit(index, [&](auto& operation) { complete = operation.start(done); });
    return complete;
  }
  auto take_all() {
    return std::apply(
        [](auto&... operation) {
          return std::tuple<Stored<typename Os::value_type>...>(take_stored(*operation)...);
        },
        operations_);
  }
  template <std::size_t Index>
  auto& get() {
    return *std::get<Index>(operations_);
  }
  // Calls `use` with the operation at `index`.
  template <class F>
  void visit(std::size_t index, F&& use) {
    std::size_t at = 0;
    std::apply([&](auto&... operation) { ((at++ == index ? use(*operation) : void()), ...); },
               operations_);
  }
  void drop() noexcept {
    std::apply([](auto&... operation) { (operation.drop(), ...); }, operations_);
  }

 private:
  std::tuple<Droppable<Os>...> operations_;
};

template <class Sequence>
class SequenceChildren {
 public:
  using Child = typename Sequence::value_type;
  template <class T>
  using PerChild = std::vector<T>;

  explicit SequenceChildren(Sequence operations) : operations_(std::move(operations)) {}

  std::size_t size() const noexcept { return operations_->size(); }
  bool start(std::size_t index, Completion& done) { return (*operations_)[index].start(done); }
  auto take_all() {
    std::vector<Stored<typename Child::value_type>> values;
    values.reserve(size());
    for (Child& operation : *operations_) values.push_back(take_stored(operation));
    return values;
  }
  template <class F>
  void visit(std::size_t index, F&& use) {
    use((*operations_)[index]);
  }
  void drop() noexcept { operations_.drop(); }

 private:
  Droppable<Sequence> operations_;
};

template <class T>
inline constexpr bool is_sequence = false;
template <class O>
inline constexpr bool is_sequence<std::vector<O>> = Operation<O>;
template <class O, std::size_t N>
inline constexpr bool is_sequence<std::array<O, N>> = Operation<O>;

}  // namespace kvs::detail

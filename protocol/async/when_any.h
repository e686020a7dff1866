// when_any.h - several operations at once; complete when the first is, with a value or an error.
// The others are dropped then.
//
// Dropping an operation whose work another thread is in the middle of waits for that thread (see
// the operation); where that could take long, race Futures, which never wait: `first(boxed(a),
// boxed(b))`.
#pragma once

#include <cassert>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include "protocol/async/children.h"
#include "protocol/async/map.h"
#include "protocol/async/operation.h"
#include "protocol/async/race.h"

namespace kvs {

// Which operation was first, counted from 0, and what it yielded.
template <class T>
struct FirstOf {
  std::size_t index;
  T value;
};

template <class Children, class T>
class [[nodiscard]] WhenAny {
 public:
  using value_type = FirstOf<Stored<T>>;

  explicit WhenAny(Children children) : race_(std::move(children)) {}

  bool start(Completion& done) {
    assert(race_.children().size() > 0);
    return race_.start(done);
  }
  value_type take() {
    const std::size_t winner = race_.winner();
    std::optional<Stored<T>> value;
    race_.children().visit(winner,
                           [&value](auto& operation) { value.emplace(take_stored(operation)); });
    race_.children().drop();
    return {winner, std::move(*value)};
  }
  auto operator co_await() noexcept { return OperationAwaiter<WhenAny>(*this); }

 private:
  detail::Race<Children> race_;
};

// The operations yield the same type. At least one.
template <Operation O, Operation... Os>
auto when_any(O operation, Os... operations) {
  using T = typename O::value_type;
  static_assert((std::is_same_v<T, typename Os::value_type> && ...),
                "when_any needs operations of one value type; map can make them so");
  using Children = detail::TupleChildren<O, Os...>;
  return WhenAny<Children, T>(Children(std::move(operation), std::move(operations)...));
}

// Of a vector or array; not empty.
template <class Sequence>
requires(detail::is_sequence<Sequence>) auto when_any(Sequence operations) {
  using Children = detail::SequenceChildren<Sequence>;
  return WhenAny<Children, typename Sequence::value_type::value_type>(
      Children(std::move(operations)));
}

// The same for who needs not know which one it was.
template <class... Operations>
auto first(Operations... operations) {
  return map(when_any(std::move(operations)...), [](auto won) { return std::move(won.value); });
}

}  // namespace kvs

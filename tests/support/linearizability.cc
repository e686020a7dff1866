#include "tests/support/linearizability.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace kvs::test {
namespace {

using Kind = HistoryOperation::Kind;
using End = HistoryOperation::End;

// A call or a return, in the list of those that are not yet part of the order.
struct Event {
  std::size_t operation = 0;
  bool is_return = false;
  Event* match = nullptr;  // of a call: its return
  Event* next = nullptr;
  Event* previous = nullptr;
};

// The register after `operation`, or nullopt when it cannot have answered this from `value`.
std::optional<std::uint64_t> applied(const HistoryOperation& operation, std::uint64_t value) {
  const bool answered = operation.end == End::answered;
  switch (operation.kind) {
    case Kind::get:
      if (answered && operation.result != value) return std::nullopt;
      return value;
    case Kind::set:
      return operation.value;
    case Kind::set_if_absent:
      if (answered && operation.result != (value == 0 ? 1U : 0U)) return std::nullopt;
      return value == 0 ? operation.value : value;
    case Kind::remove:
      if (answered && operation.result != (value != 0 ? 1U : 0U)) return std::nullopt;
      return 0;
  }
  return std::nullopt;
}

class Search {
 public:
  explicit Search(const std::vector<HistoryOperation>& history)
      : history_(history), events_(2 * history.size()), done_(history.size(), '0') {
    std::vector<Event*> order;
    for (std::size_t i = 0; i < history.size(); ++i) {
      events_[2 * i] = {.operation = i, .match = &events_[2 * i + 1]};
      events_[2 * i + 1] = {.operation = i, .is_return = true};
      order.push_back(&events_[2 * i]);
      order.push_back(&events_[2 * i + 1]);
    }
    // At one instant, calls come first: that allows more.
    std::stable_sort(order.begin(), order.end(), [this](const Event* a, const Event* b) {
      return time_of(*a) != time_of(*b) ? time_of(*a) < time_of(*b) : a->is_return < b->is_return;
    });
    Event* last = &head_;
    for (Event* event : order) {
      last->next = event;
      event->previous = last;
      last = event;
    }
  }

  bool run() {
    Event* event = head_.next;
    int way = 0;
    while (head_.next != nullptr) {
      if (event->is_return) {
        // Everything that may come first was tried: take the last choice back.
        if (choices_.empty()) return false;
        const Choice choice = choices_.back();
        choices_.pop_back();
        value_ = choice.value;
        done_[choice.event->operation] = '0';
        put_back(*choice.event);
        event = choice.event;
        way = choice.way + 1;
        continue;
      }
      if (auto after = outcome(*event, way)) {
        done_[event->operation] = '1';
        if (seen_.insert(done_ + std::to_string(*after)).second) {
          choices_.push_back({event, value_, way});
          value_ = *after;
          take_out(*event);
          event = head_.next;
          way = 0;
          continue;
        }
        done_[event->operation] = '0';
      }
      if (++way < ways(*event)) continue;
      event = event->next;
      way = 0;
    }
    return true;
  }

 private:
  struct Choice {
    Event* event;
    std::uint64_t value;  // before it
    int way;
  };

  std::uint64_t time_of(const Event& event) const {
    const HistoryOperation& operation = history_[event.operation];
    return event.is_return ? operation.returned : operation.called;
  }

  // What was cut off happened, or did not.
  int ways(const Event& event) const {
    return history_[event.operation].end == End::cut_off ? 2 : 1;
  }

  std::optional<std::uint64_t> outcome(const Event& event, int way) const {
    if (way >= ways(event)) return std::nullopt;
    if (way == 1) return value_;
    return applied(history_[event.operation], value_);
  }

  static void unlink(Event& event) {
    event.previous->next = event.next;
    if (event.next != nullptr) event.next->previous = event.previous;
  }
  static void link(Event& event) {
    event.previous->next = &event;
    if (event.next != nullptr) event.next->previous = &event;
  }
  static void take_out(Event& call) {
    unlink(call);
    unlink(*call.match);
  }
  static void put_back(Event& call) {
    link(*call.match);
    link(call);
  }

  const std::vector<HistoryOperation>& history_;
  std::vector<Event> events_;
  Event head_;
  std::string done_;  // which operations have their place in the order
  std::uint64_t value_ = 0;
  std::vector<Choice> choices_;
  std::unordered_set<std::string> seen_;
};

}  // namespace

bool linearizable(const std::vector<HistoryOperation>& history) {
  return Search(history).run();
}

std::string to_text(const std::vector<HistoryOperation>& history) {
  constexpr const char* names[] = {"get", "set", "set-if-absent", "remove"};
  std::string text;
  for (const HistoryOperation& operation : history) {
    text += "[" + std::to_string(operation.called) + ", " + std::to_string(operation.returned) +
            (operation.end == End::cut_off ? " crash] " : "] ") +
            names[static_cast<int>(operation.kind)] + " " + std::to_string(operation.value) +
            " -> " + std::to_string(operation.result) + "\n";
  }
  return text;
}

}  // namespace kvs::test

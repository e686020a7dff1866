// linearizability.h - could this history of a key have come from a register that does one thing at
// a time?
//
// The search of Wing and Gong with Lowe's cache of visited configurations. Keys are independent, so
// a history is checked key by key: what is exponential stays small. An operation that a crash has
// cut off may have happened, before the crash, or not at all (durable linearizability).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvs::test {

struct HistoryOperation {
  enum class Kind : std::uint8_t { get, set, set_if_absent, remove };
  enum class End : std::uint8_t {
    answered,
    cut_off,  // no answer: `result` means nothing, `returned` is the time of the crash
  };
  Kind kind = Kind::get;
  std::uint64_t value = 0;   // what a set writes; never 0
  std::uint64_t result = 0;  // get: the value, 0 for none; set_if_absent, remove: 1 if it did it
  std::uint64_t called = 0;  // times of one clock
  std::uint64_t returned = 0;
  End end = End::answered;
};

// The register is empty at first. Every `called` lies before its `returned`.
bool linearizable(const std::vector<HistoryOperation>& history);

std::string to_text(const std::vector<HistoryOperation>& history);

}  // namespace kvs::test

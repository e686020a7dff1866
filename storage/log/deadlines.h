// deadlines.h - the keys with a deadline, in the order of their deadlines.
//
// Sorted runs of at most 256 items, and a list of the runs in order: a B+-tree of two levels, which
// takes 13 to 14 bytes per key where std::set takes 64. Items are removed exactly, never lazily, so
// the first item is always a live key. Runs that have become small merge with their neighbours, so
// that what is left of many deadlines does not hold on to their memory.
//
// A change copies at most one run, and the list when a run comes or goes: with a hundred million
// deadlines in the index, and so three million in one of these, that is some 20,000 entries.
//
// Thread: guarded by the shard's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/log/key_node.h"

namespace kvs::log {

class Deadlines {
 public:
  bool empty() const { return runs_.empty(); }
  std::uint64_t size() const { return size_; }
  std::uint64_t memory_bytes() const;

  // The earliest deadline, or `never` when there is none.
  UnixMs earliest() const { return empty() ? never : runs_.front().front().expire_at; }

  // A pair is there at most once; erase() of one that is not is a mistake.
  void insert(UnixMs expire_at, NodeHandle node);
  void erase(UnixMs expire_at, NodeHandle node);

  // Calls `visit(expire_at, node)`, the earliest first, until it returns false. `visit` must not
  // change anything here.
  template <class Visit>
  void walk(Visit&& visit) const {
    for (const Run& run : runs_) {
      for (const Item& item : run) {
        if (!visit(item.expire_at, item.node)) return;
      }
    }
  }

 private:
  // Packed: 12 bytes instead of 16.
  struct [[gnu::packed]] Item {
    UnixMs expire_at;
    NodeHandle node;

    bool operator<(const Item& other) const {
      if (expire_at != other.expire_at) return expire_at < other.expire_at;
      return node < other.node;
    }
  };
  using Run = std::vector<Item>;
  static constexpr std::size_t run_items_max = 256;
  static constexpr std::size_t merged_items_max = 128;
  static constexpr std::size_t growth_items = 24;
  static_assert(sizeof(Item) == 12);

  // Number of the run that holds `item` or should; there must be one.
  std::size_t run_for(const Item& item) const;
  void insert_run(std::size_t number, Run run);
  void erase_run(std::size_t number);
  void set_capacity(Run& run, std::size_t items);
  void tidy(std::size_t number);

  std::vector<Run> runs_;  // none is empty
  // Per run an item that is not greater than its first and greater than all of the run before:
  // the search stays in one array. Of the first run it may be greater than items put there since.
  std::vector<Item> bounds_;
  std::uint64_t size_ = 0;
  std::uint64_t runs_bytes_ = 0;
};

}  // namespace kvs::log

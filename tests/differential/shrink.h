// shrink.h - delta debugging: the smallest part of a failing sequence that still fails.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace kvs::test {

// `fails` says whether a part of `items`, in the same order, still fails. Takes out halves,
// quarters and so on down to single items, until none can be missed or the time is over.
template <class Item, class Fails>
std::vector<Item> shrink(std::vector<Item> items, Fails fails, std::chrono::seconds time_max) {
  const auto until = std::chrono::steady_clock::now() + time_max;
  for (std::size_t size = std::max<std::size_t>(items.size() / 2, 1);;) {
    bool smaller = false;
    for (std::size_t begin = 0; begin < items.size();) {
      if (std::chrono::steady_clock::now() > until) return items;
      const std::size_t end = std::min(begin + size, items.size());
      std::vector<Item> rest(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(begin));
      rest.insert(rest.end(), items.begin() + static_cast<std::ptrdiff_t>(end), items.end());
      if (!rest.empty() && fails(rest)) {
        items = std::move(rest);
        smaller = true;
      } else {
        begin = end;
      }
    }
    if (size == 1 && !smaller) return items;
    if (size > 1) size = (size + 1) / 2;
  }
}

}  // namespace kvs::test

#include "storage/log/deadlines.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace kvs::log {

std::uint64_t Deadlines::memory_bytes() const {
  return runs_.capacity() * sizeof(Run) + bounds_.capacity() * sizeof(Item) + runs_bytes_;
}

void Deadlines::insert(UnixMs expire_at, NodeHandle node) {
  const Item item{expire_at, node};
  ++size_;
  if (runs_.empty()) return insert_run(0, {item});
  std::size_t number = run_for(item);
  if (runs_[number].size() == run_items_max) {
    // Deadlines mostly come in order ("now + an hour"): a full last run is left full.
    if (number + 1 == runs_.size() && runs_[number].back() < item) {
      return insert_run(number + 1, {item});
    }
    Run& full = runs_[number];
    const auto middle = full.begin() + run_items_max / 2;
    Run upper(middle, full.end());
    full.erase(middle, full.end());
    set_capacity(full, full.size() + growth_items);
    const bool goes_up = !(item < upper.front());
    insert_run(number + 1, std::move(upper));
    if (goes_up) ++number;
  }
  Run& run = runs_[number];
  if (run.size() == run.capacity()) set_capacity(run, run.size() + growth_items);
  run.insert(std::lower_bound(run.begin(), run.end(), item), item);
}

void Deadlines::erase(UnixMs expire_at, NodeHandle node) {
  const Item item{expire_at, node};
  assert(!runs_.empty());
  const std::size_t number = run_for(item);
  Run& run = runs_[number];
  const auto place = std::lower_bound(run.begin(), run.end(), item);
  assert(place != run.end());
  assert(!(item < *place));
  run.erase(place);
  --size_;
  tidy(number);
}

// After the run has become smaller.
void Deadlines::tidy(std::size_t number) {
  Run& run = runs_[number];
  if (run.empty()) return erase_run(number);
  if (run.capacity() > 2 * (run.size() + growth_items)) {
    set_capacity(run, run.size() + growth_items);
    // At these sizes only, so that merging is tried now and then and not with every item.
    if (number + 1 < runs_.size() && run.size() + runs_[number + 1].size() <= merged_items_max) {
      const Run& next = runs_[number + 1];
      set_capacity(run, run.size() + next.size() + growth_items);
      run.insert(run.end(), next.begin(), next.end());
      erase_run(number + 1);
    }
  }
}

std::size_t Deadlines::run_for(const Item& item) const {
  // The last run that does not begin after the item.
  const auto after = std::upper_bound(bounds_.begin(), bounds_.end(), item);
  return after == bounds_.begin() ? 0 : static_cast<std::size_t>(after - bounds_.begin()) - 1;
}

void Deadlines::insert_run(std::size_t number, Run run) {
  runs_bytes_ += run.capacity() * sizeof(Item);
  const auto at = static_cast<std::ptrdiff_t>(number);
  bounds_.insert(bounds_.begin() + at, run.front());
  runs_.insert(runs_.begin() + at, std::move(run));
}

void Deadlines::erase_run(std::size_t number) {
  runs_bytes_ -= runs_[number].capacity() * sizeof(Item);
  const auto at = static_cast<std::ptrdiff_t>(number);
  bounds_.erase(bounds_.begin() + at);
  runs_.erase(runs_.begin() + at);
}

void Deadlines::set_capacity(Run& run, std::size_t items) {
  runs_bytes_ -= run.capacity() * sizeof(Item);
  Run other;
  other.reserve(items);
  other.insert(other.end(), run.begin(), run.end());
  run = std::move(other);
  runs_bytes_ += run.capacity() * sizeof(Item);
}

}  // namespace kvs::log

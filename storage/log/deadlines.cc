#include "storage/log/deadlines.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace kvs::log {

std::uint64_t Deadlines::memory_bytes() const {
  std::uint64_t bytes = runs_.capacity() * sizeof(Run);
  for (const Run& run : runs_) bytes += run.capacity() * sizeof(Item);
  return bytes;
}

void Deadlines::insert(UnixMs expire_at, NodeHandle node) {
  const Item item{expire_at, node};
  ++size_;
  if (runs_.empty()) {
    runs_.push_back({item});
    return;
  }
  auto run = run_for(item);
  if (run->size() == run_items_max) {
    // Deadlines mostly come in order ("now + an hour"): a full last run is left full.
    if (std::next(run) == runs_.end() && run->back() < item) {
      runs_.push_back({item});
      return;
    }
    const auto middle = run->begin() + run_items_max / 2;
    Run upper(middle, run->end());
    run->erase(middle, run->end());
    run = runs_.insert(std::next(run), std::move(upper));
    if (item < run->front()) --run;
  }
  run->insert(std::lower_bound(run->begin(), run->end(), item), item);
}

void Deadlines::erase(UnixMs expire_at, NodeHandle node) {
  const Item item{expire_at, node};
  assert(!runs_.empty());
  const auto run = run_for(item);
  const auto place = std::lower_bound(run->begin(), run->end(), item);
  assert(place != run->end());
  assert(!(item < *place));
  run->erase(place);
  --size_;
  if (run->empty()) runs_.erase(run);
}

std::vector<Deadlines::Run>::iterator Deadlines::run_for(const Item& item) {
  // The last run that does not begin after the item.
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), item,
                       [](const Item& wanted, const Run& run) { return wanted < run.front(); });
  return after == runs_.begin() ? after : std::prev(after);
}

}  // namespace kvs::log

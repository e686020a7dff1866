// victims_test.cc - the choice of victims and the arithmetic of the bound, without any I/O.
#include "storage/log/victims.h"

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "storage/log/space_bound.h"

using namespace kvs;
using namespace kvs::log;

namespace {

constexpr std::uint64_t segment_bytes = 100'000;

// A sealed segment of 100 records of 1000 bytes with LSNs from `first` on, of which `live` live.
SegmentPtr segment(SegmentId id, Lsn first, unsigned live, std::uint8_t copies = 0) {
  const SegmentHeader header{.kind = copies == 0 ? SegmentKind::log : SegmentKind::compacted,
                             .id = id};
  auto made = std::make_shared<Segment>(header, nullptr, segment_bytes);
  made->counts.add_records(100, 100'000, first, first + 99);
  for (unsigned i = 0; i < live; ++i) made->counts.add_live(1000);
  made->set_end_bytes(segment_bytes);
  made->set_copies(copies);
  made->set_sealed();
  return made;
}

std::vector<SegmentId> ids(const std::vector<SegmentPtr>& segments) {
  std::vector<SegmentId> found;
  for (const SegmentPtr& one : segments) found.push_back(one->id());
  return found;
}

VictimRules rules(CompactionNeed need) {
  return {.segment_bytes = segment_bytes, .dead_percent = 90, .newest = 10'000, .need = need};
}

using Ids = std::vector<SegmentId>;

}  // namespace

TEST_CASE("without need only what is nearly all dead is taken") {
  const std::vector<SegmentPtr> listed = {segment(1, 1, 60), segment(2, 101, 20),
                                          segment(3, 201, 3), segment(4, 301, 0)};
  CHECK(ids(choose_victims(listed, rules(CompactionNeed::none), {})) == Ids{4, 3});
  CHECK(ids(choose_victims(listed, rules(CompactionNeed::none), {3})) == Ids{4});
}

TEST_CASE("under need what gives most for its cost is taken, and a segment is filled") {
  const std::vector<SegmentPtr> listed = {segment(1, 1, 97), segment(2, 101, 50),
                                          segment(3, 201, 30), segment(4, 301, 90)};
  CHECK(ids(choose_victims(listed, rules(CompactionNeed::space), {})) == Ids{3, 2});
}

TEST_CASE("of two segments that are equally dead the older one is taken") {
  const std::vector<SegmentPtr> listed = {segment(1, 9000, 60), segment(2, 1, 60)};
  CHECK(ids(choose_victims(listed, rules(CompactionNeed::space), {})) == Ids{2});
}

TEST_CASE("a run takes segments of one temperature, and what is dead whatever it was") {
  const std::vector<SegmentPtr> listed = {segment(1, 1, 20, 2), segment(2, 101, 20, 0),
                                          segment(3, 201, 20, 2), segment(4, 301, 0, 1)};
  const auto victims = choose_victims(listed, rules(CompactionNeed::space), {});
  CHECK(ids(victims) == Ids{4, 1, 3});
  CHECK(output_copies(victims) == 2);
  const std::vector<SegmentPtr> hot = {listed[1]};
  CHECK(output_copies(hot) == 1);
}

TEST_CASE("a log that is nearly all live is left alone, whatever the need") {
  const std::vector<SegmentPtr> listed = {segment(1, 1, 98), segment(2, 101, 99)};
  CHECK(choose_victims(listed, rules(CompactionNeed::space), {}).empty());
}

TEST_CASE("only segments with dead records hold tombstones back") {
  // Old records that nobody overwrites: the lowest LSNs, and all live.
  const auto old = segment(1, 1, 100);
  auto tombstones = segment(2, 500, 0);
  for (int i = 0; i < 100; ++i) tombstones->counts.add_tombstone(1000);
  CHECK(lowest_blocking_lsn({old, tombstones}, {&tombstones, 1}) == UINT64_MAX);
  CHECK(ids(choose_victims({old, tombstones}, rules(CompactionNeed::none), {})) == Ids{2});
  // One of them dies: an older record of a removed key could be it.
  old->counts.remove_live(1000);
  CHECK(lowest_blocking_lsn({old, tombstones}, {&tombstones, 1}) == 1);
  CHECK(choose_victims({old, tombstones}, rules(CompactionNeed::none), {}).empty());
  CHECK(choose_victims({old, tombstones}, rules(CompactionNeed::space), {}).empty());
  // So that one is rewritten first when tombstones dominate.
  CHECK(ids(choose_victims({old, tombstones}, rules(CompactionNeed::tombstones), {})) == Ids{1});
}

TEST_CASE(
    "the bound is a share of the live data, but never below a few segments or above the disk") {
  const SpaceBound bound{.segment_bytes = 100, .amplification_percent = 150};
  CHECK(bound.allowed_bytes({.live_bytes = 10'000}) == 15'000);
  CHECK(bound.allowed_bytes({.live_bytes = 0}) == 600);
  CHECK(bound.allowed_bytes({.live_bytes = 100}) == 700);
  CHECK(bound.allowed_bytes({.disk_bytes = 11'000, .live_bytes = 10'000, .free_bytes = 1000}) ==
        11'800);
  CHECK(bound.allowed_bytes({.disk_bytes = 50, .live_bytes = 0, .free_bytes = 0}) == 0);
}

TEST_CASE("pressure grows from the start of compaction to the bound and beyond") {
  const SpaceBound bound{.segment_bytes = 100, .amplification_percent = 150};
  SpaceUse use{.disk_bytes = 14'000, .live_bytes = 10'000};
  CHECK(bound.start_bytes(use) == 14'376);
  CHECK(bound.pressure(use) == 0);
  CHECK(bound.debt_bytes(use) == 0);
  use.disk_bytes = 14'688;
  CHECK(bound.pressure(use) == doctest::Approx(1));
  CHECK(bound.debt_bytes(use) == 312);
  use.disk_bytes = 15'000;
  CHECK(bound.pressure(use) == doctest::Approx(2));

  CHECK(working_share(0) == 0.25);
  CHECK(working_share(1) == 1);
  CHECK(working_share(5) == 1);
  using namespace std::chrono_literals;
  CHECK(writer_delay(0.9, 1 << 20) == 0us);
  CHECK(writer_delay(1.5, 40'000) == 1ms);
  CHECK(writer_delay(2, 1) == writer_delay_max);
}

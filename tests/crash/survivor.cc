#include "tests/crash/survivor.h"

#include <chrono>
#include <utility>
#include <vector>

namespace kvs::test {
namespace {

std::string describe(const State& found, const Workload& workload) {
  return "found " + to_text(found) + "but the oldest allowed is " +
         to_text(visible(workload.states().front(), workload.now())) + "and the newest is " +
         to_text(visible(workload.newest(), workload.now()));
}

void settle(Engine& engine) {
  engine.request_compaction();
  for (int i = 0; i < 1000 && engine.maintain(std::chrono::milliseconds(20)); ++i) {
  }
}

std::string live_on(Engine& engine, Workload& workload) {
  for (int i = 0; i < 12; ++i) {
    if (!workload.step(engine)) return "a step failed after the recovery";
  }
  settle(engine);
  const State found = contents(engine);
  if (found != visible(workload.newest(), workload.now())) {
    return "after writing and compacting: " + describe(found, workload);
  }
  if (auto closed = engine.close(); !closed) return "close: " + closed.error().message();
  return {};
}

}  // namespace

EngineOptions crash_options(const std::shared_ptr<SimFs>& fs, const Workload& workload,
                            std::uint64_t segment_bytes) {
  EngineOptions options;
  options.directory = "/sim";
  options.segment_bytes = segment_bytes;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.lasting_value_bytes = 24;   // frames with and without a value of their own
  options.cache_bytes = 0;
  options.fs = fs;
  options.clock = [clock = workload.clock()] { return *clock; };
  return options;
}

std::string check_survivor(const std::shared_ptr<SimFs>& fs, const Workload& workload,
                           std::uint64_t segment_bytes, Depth depth, std::uint64_t seed,
                           CrashCounts& counts) {
  // The disk before each call of the recovery, for a second cut.
  std::vector<std::shared_ptr<SimFs>> during;
  if (depth != Depth::compare) {
    fs->hook = [&](SimCall, const std::string&, std::uint64_t) {
      during.push_back(fs->fork());
      return 0;
    };
  }
  State found;
  Workload after = workload.copy();
  {
    ++counts.states;
    auto engine = open_engine("", crash_options(fs, after, segment_bytes));
    fs->hook = nullptr;
    if (!engine) return "open: " + engine.error().message();
    found = contents(**engine);
    if (!workload.allows(found)) return describe(found, workload);
    if ((*engine)->committed() != (*engine)->synced()) {
      return "an engine that was just opened has something that is not synced";
    }
    if (depth == Depth::cut_and_live_on) {
      ++counts.lives;
      after.adopt(found);
      if (std::string problem = live_on(**engine, after); !problem.empty()) return problem;
    } else if (depth == Depth::cut_recovery) {
      during.push_back(fs->fork());  // and just after it
    }
  }
  if (depth == Depth::cut_and_live_on) {
    auto again = open_engine("kvs", crash_options(fs, after, segment_bytes));
    if (!again) return "open after a clean stop: " + again.error().message();
    if ((*again)->stats().torn_bytes_cut != 0) return "a clean stop has left a torn tail";
    const State later = contents(**again);
    if (later != visible(after.newest(), after.now())) {
      return "after a clean stop: " + describe(later, after);
    }
  }
  for (std::size_t i = 0; i < during.size(); ++i) {
    // What the first recovery found, the second must find: nothing that it had to decide about is
    // any less on the disk than before.
    during[i]->power_cut(i % 3 == 0 ? SimFs::Keep::nothing : SimFs::Keep::some, seed + i);
    ++counts.states;
    ++counts.nested;
    const Workload clock_only = workload.copy();
    auto engine = open_engine("", crash_options(during[i], clock_only, segment_bytes));
    const std::string where =
        "after a second cut at call " + std::to_string(i + 1) + " of the recovery: ";
    if (!engine) return where + "open: " + engine.error().message();
    const State second = contents(**engine);
    if (second != found) return where + "found " + to_text(second) + "instead of " + to_text(found);
  }
  return {};
}

}  // namespace kvs::test

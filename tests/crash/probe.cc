// probe.cc - a process with an engine in it, for tests that make its system calls fail.
//
//   storage_probe DIRECTORY SEED STEPS REPORT
//
// Lives STEPS steps of a random workload on the real file system and writes to REPORT what an open
// of the directory may find from then on. Exit codes: 0 all went well; 10 a call failed and was
// reported as an error, and everything that had been acknowledged was readable (or an error);
// 1 something was wrong, which stderr names.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "storage/options.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

constexpr int failed_properly = 10;

int wrong(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  return 1;
}

// Is every key as in `expected`, or an error? A whole scan may be an error, too.
bool right_or_error(const State& found, const State& expected) {
  for (const auto& [key, value] : expected) {
    const auto there = found.find(key);
    if (there == found.end()) return false;
    if (there->second != value && !there->second.value.starts_with("error: ")) return false;
  }
  return found.size() == expected.size();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return wrong("usage: storage_probe DIRECTORY SEED STEPS REPORT");
  Workload workload(std::strtoull(argv[2], nullptr, 10), {});
  EngineOptions options;
  options.directory = argv[1];
  options.segment_bytes = 400;
  options.compact_dead_percent = 50;  // compaction happens all the time
  options.lasting_value_bytes = 24;   // frames with and without a value of their own
  options.cache_bytes = 0;
  options.clock = [clock = workload.clock()] { return *clock; };

  bool failed = false;
  bool right = true;
  auto engine = open_engine("", options);
  if (!engine) {
    failed = true;
    std::fprintf(stderr, "open: %s\n", engine.error().message().c_str());
  } else {
    for (int i = std::atoi(argv[3]); i > 0 && !failed; --i) failed = !workload.step(**engine);
    right = right_or_error(contents(**engine), visible(workload.newest(), workload.now()));
    if (!failed) failed = !(*engine)->close();
  }
  std::ofstream report(argv[4]);
  report << workload.now() << "\n" << to_text(visible(workload.newest(), workload.now())) << "\n";
  if (workload.attempted() != nullptr) {
    report << to_text(visible(*workload.attempted(), workload.now())) << "\n";
  }
  report.close();
  if (!right) return wrong("what was acknowledged cannot be read");
  return failed ? failed_properly : 0;
}

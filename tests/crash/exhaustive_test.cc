// exhaustive_test.cc - figure 2: every short workload, cut at every call, every disk (C2, C9-C12).
//
// Bugs that need a crash need short workloads mostly: so all sequences of up to three operations of
// a small alphabet are run, on a new log and on one that has lived. The power goes before each call
// of the last operation (that of an earlier one is another, shorter sequence) and after it; and all
// the states that the disk may be in then are opened. Where these are too many, a fixed choice of
// them: nothing kept, everything, each single thing alone kept, each alone lost, and some by
// chance.
//
//   KVS_EXHAUSTIVE_OPERATIONS=4 build/release/bin/test_crash_states    longer sequences
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tests/crash/survivor.h"
#include "tests/support/sim_fs.h"
#include "tests/support/storage_model.h"

using namespace kvs;
using namespace kvs::test;

namespace {

// Letters of the alphabet:
//   p put a   q put b   B put a, larger than a segment   e put a with a deadline   r remove a
//   m put a and b and remove c, at one instant   c clear   w swap the databases of a and c
//   s sync   k compact   t time passes
//   x close and open   y killed and opened
constexpr std::string_view alphabet = "pqBermcwsktxy";
// What a log that has lived has behind it: several segments, dead records, something unsynced.
constexpr std::string_view lived = "pqBsewmrqpswktpmsqB";

constexpr std::uint64_t disks_max = 48;

struct Count {
  std::uint64_t sequences = 0;
  std::uint64_t calls = 0;     // at which the power was cut
  std::uint64_t complete = 0;  // of them, with all the states of the disk
  CrashCounts states;
};

class Sequence {
 public:
  Sequence(std::string_view letters, std::size_t silent, Count& count)
      : letters_(letters), silent_(silent), count_(count), workload_(1, {}) {}

  // Returns what was wrong, or an empty text.
  std::string run() {
    if (silent_ == 0) watch();  // the creation of the directory is watched once, too
    if (!open()) return problem_.empty() ? "open failed" : problem_;
    for (std::size_t i = 0; i < letters_.size() && problem_.empty(); ++i) {
      if (i == silent_) watch();
      if (!perform(letters_[i])) {
        return problem_.empty() ? std::string("operation failed: ") + letters_[i] : problem_;
      }
    }
    if (problem_.empty()) look();
    fs_->hook = nullptr;
    return problem_;
  }

 private:
  void watch() {
    fs_->hook = [this](SimCall, const std::string&, std::uint64_t) {
      look();
      return problem_.empty() ? 0 : EIO;
    };
  }

  bool open() {
    auto engine = open_engine("", crash_options(fs_, workload_));
    if (!engine) return false;
    engine_ = std::move(*engine);
    workload_.adopt(workload_.newest());
    return true;
  }

  bool perform(char letter) {
    using Kind = ModelOperation::Kind;
    const ModelKey a{0, "a"};
    const ModelKey b{0, "b"};
    const auto put = [this](const ModelKey& key, std::size_t bytes, UnixMs expire_at) {
      return ModelOperation{
          .kind = Kind::put, .key = key, .value = {workload_.fresh_value(bytes), expire_at}};
    };
    const auto one = [this](ModelOperation operation) {
      return workload_.commit(*engine_, {std::move(operation)}, Appear::one_by_one);
    };
    switch (letter) {
      case 'p':
        return one(put(a, 40, never));
      case 'q':
        return one(put(b, 40, never));
      case 'B':
        return one(put(a, 500, never));
      case 'e':
        return one(put(a, 30, workload_.now() + 10));
      case 'r':
        return one({.kind = Kind::remove, .key = a});
      case 'm':
        return workload_.commit(
            *engine_,
            {put(a, 20, never), put(b, 20, never), {.kind = Kind::remove, .key = {1, "c"}}},
            Appear::together);
      case 'c':
        return one({.kind = Kind::clear, .key = a});
      case 'w':
        return one({.kind = Kind::swap, .key = a, .other = 1});
      case 's':
        return workload_.sync(*engine_);
      case 'k':
        engine_->request_compaction();
        return workload_.maintain(*engine_);
      case 't':
        workload_.pass_time(20);
        return workload_.maintain(*engine_);
      case 'x':
        if (!engine_->close()) return false;
        workload_.adopt(workload_.newest());
        engine_ = nullptr;
        return open();
      default:  // y
        engine_ = nullptr;
        return open();
    }
  }

  void look() {
    if (!problem_.empty()) return;
    ++count_.calls;
    if (every_disk()) {
      ++count_.complete;
      return;
    }
    // Too many: the edges, and some by chance.
    std::size_t asked = 0;
    check([](SimFs::Item, std::size_t) { return std::size_t{0}; });
    check([&](SimFs::Item, std::size_t options) { return ++asked, options - 1; });
    // One thing alone, or all but one: by turns, since the next call finds nearly the same disk.
    const bool kept = count_.calls % 2 == 0;
    for (std::size_t chosen = 1; chosen <= asked; ++chosen) {
      std::size_t number = 0;
      check([&](SimFs::Item, std::size_t options) {
        return (++number == chosen) == kept ? options - 1 : std::size_t{0};
      });
    }
    for (std::uint64_t seed = 0; seed < 16 && problem_.empty(); ++seed) {
      const auto disk = fs_->fork();
      disk->power_cut(SimFs::Keep::some, count_.calls * 16 + seed);
      examine(disk);
    }
  }

  // Checks all disks, unless there are more than disks_max; returns whether there are not.
  bool every_disk() {
    struct Choice {
      std::size_t taken;
      std::size_t options;
    };
    std::vector<std::shared_ptr<SimFs>> disks;
    std::vector<Choice> choices;
    do {
      if (disks.size() == disks_max) return false;
      const auto disk = fs_->fork();
      std::size_t at = 0;
      disk->power_cut([&](SimFs::Item, std::size_t options) {
        if (at == choices.size()) choices.push_back({0, options});
        return choices[at++].taken;
      });
      disks.push_back(disk);
      while (!choices.empty() && choices.back().taken + 1 == choices.back().options) {
        choices.pop_back();
      }
      if (!choices.empty()) ++choices.back().taken;
    } while (!choices.empty());
    for (const auto& disk : disks) examine(disk);
    return true;
  }

  void check(const SimFs::Choose& choose) {
    if (!problem_.empty()) return;
    const auto disk = fs_->fork();
    disk->power_cut(choose);
    examine(disk);
  }

  void examine(const std::shared_ptr<SimFs>& disk) {
    if (!problem_.empty()) return;
    const std::uint64_t number = count_.states.states;
    const Depth depth = number % 64 == 0 ? Depth::cut_and_live_on : Depth::compare;
    problem_ = check_survivor(disk, workload_, 400, depth, number, count_.states);
  }

  const std::string_view letters_;
  const std::size_t silent_;  // operations before the first that is watched
  Count& count_;
  Workload workload_;
  const std::shared_ptr<SimFs> fs_ = std::make_shared<SimFs>();
  std::unique_ptr<Engine> engine_;
  std::string problem_;
};

void run_all(std::string_view before, std::size_t operations_max, Count& count) {
  for (std::size_t length = 1; length <= operations_max; ++length) {
    std::vector<std::size_t> digits(length, 0);
    for (;;) {
      std::string letters(before);
      for (const std::size_t digit : digits) letters += alphabet[digit];
      ++count.sequences;
      const std::string problem = Sequence(letters, letters.size() - 1, count).run();
      REQUIRE_MESSAGE(problem.empty(), "operations ", letters, ": ", problem);
      std::size_t place = 0;
      while (place < length && ++digits[place] == alphabet.size()) digits[place++] = 0;
      if (place == length) break;
    }
  }
}

}  // namespace

TEST_CASE("every workload of up to three operations survives a power cut at every call") {
  std::size_t operations = effort > 1 ? 3 : 2;
  if (const char* given = std::getenv("KVS_EXHAUSTIVE_OPERATIONS")) {
    operations = std::strtoul(given, nullptr, 10);
  }
  const auto began = std::chrono::steady_clock::now();
  Count count;
  run_all("", operations, count);
  // What has lived needs no third operation to be interesting.
  run_all(lived, operations - 1, count);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("exhaustive: ", count.sequences, " workloads of up to ", operations,
          " operations, cut at ", count.calls, " calls (", count.complete,
          " with every state of the disk), ", count.states.states, " disks opened and compared, ",
          took.count(), " s, 0 violations");
}

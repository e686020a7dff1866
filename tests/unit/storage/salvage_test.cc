// salvage_test.cc - what is right is rescued, what is lost is named, nothing is destroyed (C4, C8).
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/log/segment.h"
#include "tests/support/seed.h"
#include "tests/unit/storage/damage_util.h"

using namespace kvs;
using namespace kvs::test;
using log::SalvageReport;
using log::Verdict;

namespace {

using History = std::map<ModelKey, std::set<std::string>>;

State state_of(const std::shared_ptr<SimFs>& fs) {
  auto engine = must_open(sim_options(fs));
  return contents(*engine);
}

std::string& file_with(SimFs& fs, std::string_view text) {
  for (auto& [file, inode] : fs.files()) {
    if (file.ends_with(".log") && inode->now.find(text) != std::string::npos) return inode->now;
  }
  FAIL("no segment holds " << text);
  return fs.files().begin()->second->now;
}

// Salvages; afterwards it opens, holds nothing that was never there, and what differs from `whole`
// is accounted for by the report.
void check_salvage(const std::shared_ptr<SimFs>& fs, const State& whole, const History& history) {
  const auto originals = snapshot(*fs);
  auto report = salvage_log(*fs);
  REQUIRE_MESSAGE(report, report.error().message());
  // The torn tail of the unsynced record may have been the only damage.
  const State found = state_of(fs->fork());
  bool equal = true;
  for (const auto& [key, value] : found) {
    const auto was = history.find(key);
    REQUIRE_MESSAGE(was != history.end(), to_text(found));
    REQUIRE_MESSAGE(was->second.contains(value.value), to_text(found));
  }
  for (const auto& [key, value] : whole) {
    if (key.second == "newest") continue;  // not vouched for
    const auto here = found.find(key);
    if (here == found.end() || !(here->second == value)) equal = false;
  }
  // What had been removed stays so, unless it says that something was lost.
  for (const auto& [key, value] : found) {
    if (!whole.contains(key)) equal = false;
  }
  // Where the frames that would vouch for others are damaged too, it is taken for a torn tail: the
  // limit that log_format.md states.
  if (!equal && report->outcome != SalvageReport::Outcome::nothing_to_do) {
    CHECK_MESSAGE(report->outcome == SalvageReport::Outcome::lost, report->text);
    CHECK_FALSE(report->losses.empty());
  }
  // Every byte that is not in the directory any more is in the quarantine.
  std::set<std::string> kept;
  for (const auto& [name, bytes] : snapshot(*fs)) kept.insert(bytes);
  for (const auto& [name, bytes] : originals) {
    if (name.ends_with(".log") && report->outcome != SalvageReport::Outcome::nothing_to_do) {
      CHECK_MESSAGE(kept.contains(bytes), name);
    }
  }
  // Once more: there is nothing to do.
  const auto again_on = fs->fork();
  auto again = salvage_log(*again_on);
  REQUIRE(again);
  CHECK(again->outcome == SalvageReport::Outcome::nothing_to_do);
}

}  // namespace

TEST_CASE("a log that opens is left alone") {
  const auto fs = reference_log(Stop::killed);
  const auto before = snapshot(*fs);
  auto report = salvage_log(*fs);
  REQUIRE(report);
  CHECK(report->outcome == SalvageReport::Outcome::nothing_to_do);
  CHECK(snapshot(*fs) == before);
}

TEST_CASE("of a damaged record its key and older value are named, all else is there") {
  const auto fs = reference_log(Stop::killed);
  const State whole = state_of(fs->fork());
  std::string& bytes = file_with(*fs, "newer");
  bytes[bytes.find("newer")] ^= 1;
  auto report = salvage_log(*fs);
  REQUIRE(report);
  CHECK(report->outcome == SalvageReport::Outcome::lost);
  REQUIRE(report->losses.size() == 1);
  CHECK_MESSAGE(report->losses[0].find("\"twice\" of database 0") != std::string::npos,
                report->losses[0]);
  CHECK_MESSAGE(report->losses[0].find("an older record") != std::string::npos, report->losses[0]);
  State expected = whole;
  expected[{0, "twice"}].value = "older";
  CHECK(state_of(fs->fork()) == expected);
  const auto files = snapshot(*fs);
  const std::string inside = report->quarantine.substr(5) + "/";
  CHECK(files.at(inside + "REPORT.txt") == report->text);
  CHECK(files.contains(inside + "MANIFEST"));
  CHECK_FALSE(files.contains("SALVAGE"));
}

TEST_CASE("a damaged segment header costs nothing: its seed is in the first frame") {
  const auto fs = reference_log(Stop::killed);
  const State whole = state_of(fs->fork());
  std::string& bytes = file_with(*fs, "far away");
  bytes.replace(0, log::segment_header_bytes, std::string(log::segment_header_bytes, '\x77'));
  auto report = salvage_log(*fs);
  REQUIRE(report);
  CHECK_MESSAGE(report->outcome == SalvageReport::Outcome::nothing_lost, report->text);
  CHECK(state_of(fs->fork()) == whole);
}

TEST_CASE("without MANIFEST and ENGINE the segments are enough") {
  const auto fs = reference_log(Stop::killed);
  const State whole = state_of(fs->fork());
  fs->files().at("MANIFEST")->now = "nonsense";
  fs->files().erase("ENGINE");
  auto report = salvage_log(*fs);
  REQUIRE(report);
  CHECK(report->text.find("MANIFEST could not be read") != std::string::npos);
  CHECK(state_of(fs->fork()) == whole);
}

TEST_CASE("after a salvage the log goes on: writes, compaction, restart") {
  const auto fs = reference_log(Stop::killed);
  std::string& bytes = file_with(*fs, "far away");
  bytes[bytes.find("far away")] ^= 1;
  REQUIRE(salvage_log(*fs));
  auto engine = must_open(sim_options(fs));
  const Position before = engine->committed();
  for (int i = 0; i < 30; ++i) REQUIRE(set(*engine, "k" + std::to_string(i % 5), "v"));
  CHECK(engine->committed() == before + 30);
  compact(*engine);
  const State state = contents(*engine);
  CHECK(state.at({0, "twice"}).value == "newer");
  CHECK_FALSE(state.contains({0, "gone"}));
  CHECK_FALSE(state.contains({0, "removed"}));
  CHECK(engine->stats().dead_bytes == 0);
  REQUIRE(engine->close());
  engine.reset();
  CHECK(state_of(fs) == state);
  CHECK(check_log(*fs).verdict == Verdict::good);
}

TEST_CASE(
    "each flipped bit is detected, opening refuses or reads right, and salvage tells the truth") {
  History history;
  const auto whole = reference_log(Stop::killed, &history);
  const State state = state_of(whole->fork());
  const std::uint64_t seed = test_seed("which bits are salvaged");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uint64_t bits = 0;
  std::uint64_t salvaged = 0;
  for (const auto& [name, bytes] : snapshot(*whole)) {
    if (name == "RESERVE") continue;  // holds nothing
    const std::size_t used = bytes.find_last_not_of('\0') + 1;
    for (std::size_t bit = 0; bit < used * 8; ++bit) {
      ++bits;
      CAPTURE(name);
      CAPTURE(bit);
      const auto fs = whole->fork();
      fs->files().at(name)->now[bit / 8] ^= static_cast<char>(1 << bit % 8);
      const log::CheckReport report = check_log(*fs);
      if (name.ends_with(".hint")) {
        // Not believed, so nothing is wrong.
        REQUIRE(report.verdict == Verdict::good);
        REQUIRE(report.unusable_hints.size() == 1);
        REQUIRE(state_of(fs) == state);
        continue;
      }
      REQUIRE(report.verdict != Verdict::good);
      auto engine = open_engine("", sim_options(fs->fork()));
      REQUIRE((engine.has_value() || report.verdict == Verdict::corrupt));
      if (engine && report.verdict == Verdict::corrupt) {
        // Recovery took a shortcut past the damage: reads do not.
        for (const auto& [key, value] : state) {
          const std::string answer = get(**engine, key.second, key.first);
          REQUIRE((answer == value.value || answer.find("error: corrupt") == 0));
        }
        engine->reset();
        engine = fail(Code::corrupt, "found by the check");
      }
      if (engine) {
        State expected = state;
        expected.erase({0, "newest"});
        const State found = contents(**engine);
        REQUIRE((found == state || found == expected));
        continue;
      }
      // Where everything costs ten times as much, one in ten is salvaged.
      if (effort == 1 && random() % 10 != 0) continue;
      check_salvage(fs, state, history);
      ++salvaged;
    }
  }
  MESSAGE(bits << " bits flipped, " << salvaged << " of them salvaged");
  CHECK(bits > 8000);
}

TEST_CASE("random damage to several places at once: no wrong value, and losses are admitted") {
  const std::uint64_t seed = test_seed("random damage");
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  History history;
  const auto whole = reference_log(Stop::killed, &history);
  const State state = state_of(whole->fork());
  for (std::uint64_t round = 0; round < 100 * effort; ++round) {
    CAPTURE(round);
    const auto fs = whole->fork();
    const std::uint64_t changes = 1 + random() % 5;
    for (std::uint64_t i = 0; i < changes; ++i) {
      auto file = fs->files().begin();
      std::advance(file, static_cast<std::ptrdiff_t>(random() % fs->files().size()));
      std::string& bytes = file->second->now;
      if (bytes.empty() || file->first == "ENGINE") continue;
      const std::size_t at = random() % bytes.size();
      const std::size_t length = std::min<std::size_t>(bytes.size() - at, 1 + random() % 90);
      std::string noise(length, '\0');
      if (random() % 3 != 0) {
        for (char& byte : noise) byte = static_cast<char>(random());
      }
      bytes.replace(at, length, noise);
    }
    check_salvage(fs, state, history);
  }
}

TEST_CASE("a salvage may be cut off at any call, and the next one ends the same way") {
  History history;
  const auto damaged = reference_log(Stop::killed, &history);
  std::string& bytes = file_with(*damaged, "newer");
  bytes[bytes.find("newer")] ^= 1;
  SUBCASE("with MANIFEST") {}
  SUBCASE("without MANIFEST") {
    damaged->files().at("MANIFEST")->now[50] ^= 4;
  }
  damaged->power_cut(SimFs::Keep::everything, 0);
  const auto finished = damaged->fork();
  REQUIRE(salvage_log(*finished));
  const State expected = state_of(finished->fork());
  const std::uint64_t seed = test_seed("cut off");
  CAPTURE(seed);
  bool done = false;
  for (std::uint64_t at = 1; !done; ++at) {
    REQUIRE(at < 500);
    CAPTURE(at);
    for (std::uint64_t cut = 0; cut < 4; ++cut) {
      CAPTURE(cut);
      const auto fs = damaged->fork();
      fs->power_off_at = at;
      done = salvage_log(*fs).has_value();
      const auto after = fs->fork();
      const auto keep = cut == 0   ? SimFs::Keep::nothing
                        : cut == 1 ? SimFs::Keep::everything
                                   : SimFs::Keep::some;
      after->power_cut(keep, seed + at * 10 + cut);
      // A day later, so that the quarantine would have another name.
      auto report = salvage_log(*after, 1'700'086'400'000);
      REQUIRE_MESSAGE(report, report.error().message());
      CHECK(state_of(after->fork()) == expected);
      const auto files = snapshot(*after);
      CHECK(std::any_of(files.begin(), files.end(), [](const auto& file) {
        return file.first.starts_with("quarantine-") && file.first.ends_with("REPORT.txt");
      }));
      std::size_t originals = 0;
      for (const auto& [name, was] : snapshot(*damaged)) {
        if (!name.ends_with(".log")) continue;
        for (const auto& [file, is] : files) originals += is == was ? 1 : 0;
      }
      CHECK(originals >= 2);
    }
  }
}

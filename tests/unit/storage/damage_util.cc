#include "tests/unit/storage/damage_util.h"

namespace kvs::test {

std::shared_ptr<SimFs> reference_log(Stop stop,
                                     std::map<ModelKey, std::set<std::string>>* history) {
  const auto fs = std::make_shared<SimFs>();
  auto engine = must_open(sim_options(fs));
  const auto put = [&](const std::string& key, const std::string& value, UnixMs deadline = never,
                       Database database = 0) {
    REQUIRE(set(*engine, key, value, deadline, database));
    if (history != nullptr) (*history)[{database, key}].insert(value);
  };
  // What compaction finds dead, and a survivor.
  put("survivor", "kept from the first segment");
  for (int i = 0; i < 8; ++i) put("churn", std::string(50, static_cast<char>('a' + i)));
  put("gone", "should not come back");
  put("other", "1", never, 1);
  // A key that goes from database to database.
  const auto wander = [&](Database from, Database to) {
    REQUIRE(swap(*engine, from, to));
    if (history != nullptr) (*history)[{to, "wanderer"}].insert("in many databases");
  };
  put("wanderer", "in many databases", never, 5);
  wander(5, 6);
  REQUIRE(remove(*engine, "gone"));
  REQUIRE(clear(*engine, 1));
  compact(*engine);
  REQUIRE(engine->stats().compactions > 0);
  put("deadline", "far away", UnixMs{4'000'000'000'000});
  put("twice", "older");
  put("second", "in database 1", never, 1);
  put("removed", "x");
  wander(6, 7);
  put("twice", "newer");
  REQUIRE(remove(*engine, "removed"));
  {
    auto session = engine->begin();
    REQUIRE(session);
    for (const char* key : {"m1", "m2", "m3"}) {
      (*session)->put({0, key}, "of one session", never);
      if (history != nullptr) (*history)[{0, key}].insert("of one session");
    }
    REQUIRE((*session)->commit());
  }
  put("binary\n\"key\"\xff", std::string("\0\1\2", 3));
  put("last", "one");
  REQUIRE(engine->sync());
  put("after", "the sync");  // vouches for what is before
  REQUIRE(engine->sync());
  put("newest", "unsynced");
  if (stop == Stop::clean) REQUIRE(engine->close());
  return fs;
}

log::CheckReport check_log(SimFs& fs) {
  auto directory = fs.open_directory("/sim");
  REQUIRE(directory);
  auto report = log::check(**directory);
  REQUIRE_MESSAGE(report, report.error().message());
  return std::move(*report);
}

Result<log::SalvageReport> salvage_log(SimFs& fs, UnixMs now) {
  auto directory = fs.open_directory("/sim");
  REQUIRE(directory);
  return log::salvage(fs, "/sim", **directory, now);
}

std::string to_text(const log::CheckReport& report) {
  std::string text;
  for (const log::Damage& damage : report.damages) text += to_text(damage) + "\n";
  return text;
}

}  // namespace kvs::test

// progress_test.cc - amounts for people, the bar, and the percentiles of bench.
#include "cli/progress.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "cli/latency.h"
#include "cli/watch.h"
#include "tests/support/seed.h"

namespace kvs::cli {

TEST_CASE("amounts are shown with the unit that fits") {
  CHECK(shown_bytes(0) == "0 B");
  CHECK(shown_bytes(1023) == "1023 B");
  CHECK(shown_bytes(1536) == "1.5 KiB");
  CHECK(shown_bytes((std::uint64_t{1} << 20) - 1) == "1.0 MiB");
  CHECK(shown_count(999) == "999");
  CHECK(shown_count(1000) == "1,000");
  CHECK(shown_count(12345678) == "12,345,678");
  CHECK(shown_duration(0.84) == "0.8 s");
  CHECK(shown_duration(65) == "1:05");
  CHECK(shown_duration(7384) == "2:03:04");
}

TEST_CASE("the bar has percent, rate and remaining time, and fits the terminal") {
  const Progress progress("import", 1000, Progress::Unit::keys);
  const std::string line = progress.line(250, 10, 100);
  for (const std::string part : {"import [", "25%", "250 keys", "25 keys/s", "0:30 left", "##.."}) {
    CAPTURE(line);
    CHECK(line.find(part) != std::string::npos);
  }
  for (std::size_t columns = 2; columns < 150; ++columns) {
    CHECK(progress.line(250, 10, columns).size() < columns);
  }
  CHECK(progress.line(0, 0, 100).find("left") == std::string::npos);
}

TEST_CASE("percentiles are right to 1.6 %, whatever the durations") {
  std::mt19937_64 random(test::test_seed("progress_test"));
  const auto latencies = std::make_unique<Latencies>();
  CHECK(latencies->percentile(0.5).count() == 0);
  std::vector<std::int64_t> all;
  for (int i = 0; i < 20000; ++i) {
    all.push_back(static_cast<std::int64_t>(random() >> (24 + random() % 40)));
    latencies->add(std::chrono::nanoseconds(all.back()));
  }
  std::sort(all.begin(), all.end());
  for (const double part : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    CAPTURE(part);
    const auto index =
        std::min(all.size() - 1, static_cast<std::size_t>(part * static_cast<double>(all.size())));
    const auto exact = static_cast<double>(all[index]);
    const auto found = static_cast<double>(latencies->percentile(part).count());
    CHECK(found >= exact);
    CHECK(found <= exact * (1 + 1.0 / 64) + 1);
  }
  CHECK(latencies->max().count() == all.back());
  latencies->add(std::chrono::nanoseconds::max());
  CHECK(latencies->percentile(1).count() == std::chrono::nanoseconds::max().count());
}

TEST_CASE("watch: rates are differences over time, and what a server does not say is null") {
  const Info before = parse_info(
      "# Stats\r\ntotal_commands_processed:100\r\nkeyspace_hits:5\r\n"
      "keyspace_misses:5\r\nkvs_syncs:9\r\n");
  const Info now = parse_info(
      "total_commands_processed:300\r\nkeyspace_hits:8\r\n"
      "keyspace_misses:6\r\nkvs_syncs:4\r\nused_memory_rss:77\r\n"
      "db0:keys=5,expires=1\r\ndb3:keys=2,expires=0\r\ndbsize:x\r\n");
  const Json sample = watch_sample(before, now, 2);
  CHECK(sample.at("ops_per_second") == 100);
  CHECK(sample.at("hit_rate") == 0.75);
  CHECK(sample.at("keys") == 7);
  CHECK(sample.at("memory_bytes") == 77);
  CHECK(sample.at("syncs_per_second") == 2);  // counted from 0 again
  CHECK(sample.at("disk_bytes").is_null());
}

}  // namespace kvs::cli

// recovery.cc - what opening a directory costs, library alone (ARCHITECTURE.md, "Recovery").
//
//   recovery-bench make DIR KEYS [clean|killed]   fills DIR; `killed` leaves it as SIGKILL would
//   recovery-bench open DIR [THREADS]             opens it, checks one key, prints what it took
//
// Keys of 16 bytes and values of 100, as in `compare`. `open` leaves the directory as it was
// found: it neither closes nor compacts.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "storage/options.h"

namespace {

constexpr unsigned long keys_per_session = 64;

std::string key_of(unsigned long number) {
  char text[32];
  std::snprintf(text, sizeof text, "key:%012lu", number);
  return text;
}

int fail(const kvs::Error& error) {
  std::fprintf(stderr, "recovery-bench: %s\n", error.message().c_str());
  return EXIT_FAILURE;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

kvs::EngineOptions options_for(const char* directory) {
  kvs::EngineOptions options;
  options.directory = directory;
  return options;
}

int make(const char* directory, unsigned long keys, std::string_view stop) {
  auto engine = kvs::open_engine("", options_for(directory));
  if (!engine) return fail(engine.error());
  const std::string value(100, 'v');
  for (unsigned long begin = 0; begin < keys; begin += keys_per_session) {
    auto session = (*engine)->begin();
    if (!session) return fail(session.error());
    for (unsigned long n = begin; n < std::min(begin + keys_per_session, keys); ++n) {
      (*session)->put({0, key_of(n)}, value, kvs::never);
    }
    if (auto committed = (*session)->commit(); !committed) return fail(committed.error());
    if (begin % (64 * keys_per_session) == 0) {
      (*engine)->maintain(std::chrono::milliseconds(1));
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  while ((*engine)->maintain(std::chrono::milliseconds(10)) && seconds_since(begin) < 60) {
  }
  std::printf("maintenance caught up in %.3f s\n", seconds_since(begin));
  if (stop == "clean") {
    if (auto closed = (*engine)->close(); !closed) return fail(closed.error());
  }
  return EXIT_SUCCESS;
}

int open(const char* directory, unsigned threads) {
  const auto begin = std::chrono::steady_clock::now();
  kvs::EngineOptions options = options_for(directory);
  options.recovery_threads = threads;
  auto engine = kvs::open_engine("", options);
  if (!engine) return fail(engine.error());
  std::string value;
  auto found = (*engine)->get({0, key_of(0)}, kvs::Access::may_block, value);
  if (!found) return fail(found.error());
  const double took = seconds_since(begin);
  const kvs::EngineStats stats = (*engine)->stats();
  std::printf(
      "%.3f s to the first value: %lu records, %lu keys, %lu segments, %.1f bytes per key\n", took,
      stats.recovered_records, (*engine)->database_stats(0).keys, stats.segments,
      static_cast<double>(stats.index_bytes) /
          static_cast<double>((*engine)->database_stats(0).keys));
  return *found && value.size() == 100 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb == "make" && argc >= 4) {
    return make(argv[2], std::strtoul(argv[3], nullptr, 10), argc > 4 ? argv[4] : "clean");
  }
  if (verb == "open") {
    return open(argv[2], argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 0);
  }
  std::fprintf(stderr, "usage: recovery-bench make DIR KEYS [clean|killed] | open DIR [THREADS]\n");
  return 2;
}

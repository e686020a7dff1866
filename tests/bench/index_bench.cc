// index_bench.cc - what the index of the log engine costs: bytes per key, time per operation, and
// the longest single operation while it grows.
//
//   index-bench [--keys N] [--json]
//
// The index alone, through its public interface: no I/O, no server. Keys have 16 bytes, records
// stand for values of 100 bytes. Memory is reported twice, by Keydir::memory_bytes() and by the
// growth of the process' resident set, both without the keys' own bytes. Pauses are measured in
// CPU time of the thread (so that other processes do not count), each operation by itself; what
// bounds them is not this measurement but the work per operation, which unit.storage.index checks.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "storage/log/keydir.h"

namespace {

using kvs::HashKey;
using kvs::Key;
using kvs::Lsn;
using kvs::UnixMs;
using kvs::log::Change;
using kvs::log::Entry;
using kvs::log::Keydir;
using kvs::log::Visibility;

constexpr std::size_t key_bytes = 16;
constexpr std::uint64_t value_bytes = 100;
constexpr std::uint64_t record_bytes = 16 + key_bytes + value_bytes;
constexpr std::uint64_t segment_bytes = std::uint64_t{64} << 20;

std::uint64_t nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long pages = 0;
  unsigned long resident = 0;
  if (file == nullptr || std::fscanf(file, "%lu %lu", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {
    std::uint64_t number = state_ += 0x9e3779b97f4a7c15;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
    number = (number ^ number >> 27) * 0x94d049bb133111eb;
    return number ^ number >> 31;
  }
  std::uint64_t below(std::uint64_t end) { return (*this)() % end; }

 private:
  std::uint64_t state_;
};

// "key:" and twelve digits.
class Name {
 public:
  explicit Name(std::uint64_t number) { set(number); }
  Name() { set(0); }
  void set(std::uint64_t number) {
    std::memcpy(text_.data(), "key:", 4);
    for (std::size_t i = key_bytes; i-- > 4; number /= 10) {
      text_[i] = static_cast<char>('0' + number % 10);
    }
  }
  std::string_view view() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, key_bytes> text_;
};

Entry entry_of(Lsn lsn, UnixMs expire_at = kvs::never) {
  const std::uint64_t place = lsn * record_bytes;
  return {.location = {.segment = static_cast<std::uint32_t>(place / segment_bytes + 1),
                       .offset_bytes = static_cast<std::uint32_t>(place % segment_bytes),
                       .record_bytes = static_cast<std::uint32_t>(record_bytes)},
          .lsn = lsn,
          .value_bytes = value_bytes,
          .expire_at = expire_at};
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}
  void add(const char* name, double value, const char* unit) {
    if (json_) {
      std::printf("%s\"%s\": %.3f", first_ ? "{" : ", ", name, value);
    } else {
      std::printf("%-44s %10.1f %s\n", name, value, unit);
    }
    first_ = false;
    std::fflush(stdout);
  }
  void end() const {
    if (json_) std::printf("}\n");
  }

 private:
  bool json_;
  bool first_ = true;
};

// Feeds keys [first, end) in batches, as recovery does.
void feed(Keydir& keydir, std::uint64_t first, std::uint64_t end, std::size_t batch_keys,
          Lsn lsn_base, const std::function<UnixMs(std::uint64_t)>& deadline) {
  std::vector<Name> names(batch_keys);
  std::vector<Change> changes(batch_keys);
  for (std::uint64_t next = first; next < end;) {
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(batch_keys, end - next));
    for (std::size_t i = 0; i < count; ++i, ++next) {
      names[i].set(next);
      changes[i] = Change{.key = {0, names[i].view()},
                          .lsn = lsn_base + next + 1,
                          .entry = entry_of(lsn_base + next + 1, deadline(next)),
                          .value = std::nullopt};
    }
    keydir.apply({changes.data(), count}, Visibility::one_by_one);
  }
}

UnixMs no_deadline(std::uint64_t) {
  return kvs::never;
}

double per(std::uint64_t nanoseconds, std::uint64_t operations) {
  return static_cast<double>(nanoseconds) / static_cast<double>(operations);
}

// The longest of many operations, in CPU time of this thread.
class Longest {
 public:
  template <class Operation>
  void time(Operation&& operation) {
    const std::uint64_t before = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    operation();
    const std::uint64_t took = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - before;
    longest_ = std::max(longest_, took);
    over_ += took > 100'000;
  }
  double microseconds() const { return static_cast<double>(longest_) / 1000; }
  double over_100_us() const { return static_cast<double>(over_); }

 private:
  std::uint64_t longest_ = 0;
  std::uint64_t over_ = 0;
};

void bench_load(Report& report, std::uint64_t keys) {
  for (const unsigned threads : {1U, 2U}) {
    Keydir keydir(HashKey{}, 0);
    keydir.begin_recovery();
    const std::uint64_t before = nanoseconds(CLOCK_MONOTONIC);
    std::vector<std::thread> feeders;
    for (unsigned i = 0; i < threads; ++i) {
      feeders.emplace_back([&keydir, i, threads, keys] {
        feed(keydir, keys * i / threads, keys * (i + 1) / threads, 1000, 0, no_deadline);
      });
    }
    for (std::thread& feeder : feeders) feeder.join();
    const std::uint64_t took = nanoseconds(CLOCK_MONOTONIC) - before;
    keydir.end_recovery();
    report.add(threads == 1 ? "insert_by_1000_1_thread" : "insert_by_1000_2_threads",
               per(took, keys), "ns/key");
  }
}

void bench_operations(Report& report, std::uint64_t keys) {
  const std::uint64_t resident_before = resident_bytes();
  // The values' copies must not count as memory of the index: the ring is small.
  Keydir keydir(HashKey{}, std::uint64_t{1} << 20);
  const std::string value(value_bytes, 'v');
  feed(keydir, 0, keys, 1000, 0, no_deadline);
  report.add("memory_beside_key_loaded", per(keydir.memory_bytes(), keys) - key_bytes, "B/key");
  report.add("resident_beside_key_loaded",
             per(resident_bytes() - resident_before, keys) - key_bytes, "B/key");

  const std::uint64_t rounds = 2'000'000;
  Random random(1);
  Lsn lsn = keys;
  std::uint64_t found = 0;
  std::uint64_t before = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  const auto lap = [&](const char* name, std::uint64_t operations) {
    const std::uint64_t now = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    report.add(name, per(now - before, operations), "ns/op");
    before = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  };
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const Name name(random.below(keys));
    found += keydir.find({0, name.view()}).has_value();
  }
  lap("find", rounds);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const Name name(keys + random.below(keys));
    found += keydir.find({0, name.view()}).has_value();
  }
  lap("find_absent", rounds);
  for (const std::size_t batch : {std::size_t{1}, std::size_t{16}, std::size_t{1000}}) {
    std::vector<Name> names(batch);
    std::vector<Change> changes(batch);
    for (std::uint64_t done = 0; done < rounds; done += batch) {
      for (std::size_t i = 0; i < batch; ++i) {
        names[i].set(random.below(keys));
        ++lsn;
        changes[i] =
            Change{.key = {0, names[i].view()}, .lsn = lsn, .entry = entry_of(lsn), .value = value};
      }
      keydir.apply(changes, Visibility::one_by_one);
    }
    lap(batch == 1 ? "put_by_1" : batch == 16 ? "put_by_16" : "put_by_1000", rounds);
  }
  std::string copy;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const Name name(random.below(keys));
    found += keydir.get({0, name.view()}, copy).has_value();
  }
  lap("get", rounds);
  // Every key written with its value once: what a server that took SETs holds.
  for (std::uint64_t first = 0; first < keys;) {
    std::array<Name, 64> names;
    std::array<Change, 64> changes;
    std::size_t count = 0;
    for (; count < names.size() && first < keys; ++count, ++first) {
      names[count].set(first);
      ++lsn;
      changes[count] = Change{
          .key = {0, names[count].view()}, .lsn = lsn, .entry = entry_of(lsn), .value = value};
    }
    keydir.apply({changes.data(), count}, Visibility::one_by_one);
  }
  report.add("memory_beside_key_written", per(keydir.memory_bytes(), keys) - key_bytes, "B/key");
  report.add("resident_beside_key_written",
             per(resident_bytes() - resident_before, keys) - key_bytes, "B/key");
  if (found < rounds) std::abort();

  // Lookups of one and two threads while a third writes.
  for (const unsigned readers : {1U, 2U}) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> reads{0};
    std::vector<std::thread> threads;
    for (unsigned reader = 0; reader < readers; ++reader) {
      threads.emplace_back([&, reader] {
        Random own(100 + reader);
        std::uint64_t count = 0;
        std::uint64_t present = 0;
        while (!stop.load(std::memory_order_relaxed)) {
          const Name name(own.below(keys));
          present += keydir.find({0, name.view()}).has_value();
          ++count;
        }
        if (present != count) std::abort();
        reads += count;
      });
    }
    const std::uint64_t begun = nanoseconds(CLOCK_MONOTONIC);
    std::uint64_t writes = 0;
    while (nanoseconds(CLOCK_MONOTONIC) - begun < 1'000'000'000) {
      std::array<Name, 16> names;
      std::array<Change, 16> changes;
      for (std::size_t i = 0; i < names.size(); ++i) {
        names[i].set(random.below(keys));
        ++lsn;
        changes[i] =
            Change{.key = {0, names[i].view()}, .lsn = lsn, .entry = entry_of(lsn), .value = value};
      }
      keydir.apply(changes, Visibility::one_by_one);
      writes += names.size();
    }
    const double seconds = static_cast<double>(nanoseconds(CLOCK_MONOTONIC) - begun) / 1e9;
    stop = true;
    for (std::thread& thread : threads) thread.join();
    const double k_reads = static_cast<double>(reads) / seconds / 1000;
    report.add(readers == 1 ? "reads_beside_a_writer_1_thread" : "reads_beside_a_writer_2_threads",
               k_reads, "k/s");
    report.add(readers == 1 ? "writes_beside_1_reader" : "writes_beside_2_readers",
               static_cast<double>(writes) / seconds / 1000, "k/s");
  }

  std::uint64_t cursor = 0;
  std::uint64_t visited = 0;
  Longest scan;
  do {
    scan.time([&] {
      cursor = keydir.scan(0, cursor, 100, [&](std::string_view, const Entry&) { ++visited; });
    });
  } while (cursor != 0);
  if (visited != keys) std::abort();
  report.add("longest_scan_of_100", scan.microseconds(), "us");
}

void bench_pauses(Report& report, std::uint64_t keys) {
  // What the machine itself does to a thread (interrupts, a hypervisor) while it does very little.
  Longest nothing;
  std::array<std::uint64_t, 64> numbers{};
  for (std::uint64_t i = 0; i < keys; ++i) {
    nothing.time([&] { numbers[i % numbers.size()] += i; });
  }
  if (numbers[0] == 1) std::abort();
  report.add("longest_nothing", nothing.microseconds(), "us");
  report.add("nothings_over_100_us", nothing.over_100_us(), "");
  Keydir keydir(HashKey{}, 0);
  Longest put;
  Name name;
  for (std::uint64_t i = 0; i < keys; ++i) {
    name.set(i);
    Change change{
        .key = {0, name.view()}, .lsn = i + 1, .entry = entry_of(i + 1), .value = std::nullopt};
    put.time([&] { keydir.apply({&change, 1}, Visibility::one_by_one); });
  }
  report.add("longest_put_while_growing", put.microseconds(), "us");
  report.add("puts_over_100_us", put.over_100_us(), "");
  Longest clear;
  clear.time([&] { keydir.clear(0, keys + 1); });
  report.add("clear", clear.microseconds(), "us");
  // One thread gives the memory back; how long does another one wait for the index?
  std::atomic<bool> stop{false};
  Longest beside;
  std::thread drain([&] {
    while (keydir.drain_cleared(1000, [](const Entry&) {}) > 0) {
    }
    stop = true;
  });
  std::uint64_t lsn = keys + 1;
  while (!stop) {
    name.set(++lsn);
    Change change{
        .key = {0, name.view()}, .lsn = lsn, .entry = entry_of(lsn), .value = std::nullopt};
    beside.time([&] { keydir.apply({&change, 1}, Visibility::one_by_one); });
  }
  drain.join();
  report.add("longest_put_while_draining", beside.microseconds(), "us");

  Keydir shrinking(HashKey{}, 0);
  feed(shrinking, 0, keys, 1000, 0, no_deadline);
  Longest remove;
  for (std::uint64_t i = 0; i < keys; ++i) {
    name.set(i);
    Change change{
        .key = {0, name.view()}, .lsn = keys + i + 1, .entry = std::nullopt, .value = std::nullopt};
    remove.time([&] { shrinking.apply({&change, 1}, Visibility::one_by_one); });
  }
  report.add("longest_remove_while_shrinking", remove.microseconds(), "us");
  report.add("removes_over_100_us", remove.over_100_us(), "");
}

void bench_deadlines(Report& report, std::uint64_t keys) {
  Random random(7);
  const auto spread = [&](std::uint64_t) { return static_cast<UnixMs>(random.below(1 << 30) + 1); };
  Keydir without(HashKey{}, 0);
  feed(without, 0, keys, 1000, 0, no_deadline);
  Keydir keydir(HashKey{}, 0);
  std::uint64_t before = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  feed(keydir, 0, keys, 1000, 0, spread);
  report.add("insert_with_deadline", per(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - before, keys),
             "ns/key");
  report.add("memory_of_a_random_deadline",
             per(keydir.memory_bytes(), keys) - per(without.memory_bytes(), keys), "B/key");
  Keydir ascending(HashKey{}, 0);
  feed(ascending, 0, keys, 1000, 0, [](std::uint64_t i) { return static_cast<UnixMs>(i + 1); });
  report.add("memory_of_an_ascending_deadline",
             per(ascending.memory_bytes(), keys) - per(without.memory_bytes(), keys), "B/key");
  std::vector<kvs::log::ExpiredKey> expired;
  std::uint64_t removed = 0;
  Longest longest;
  before = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  for (;;) {
    expired.clear();
    longest.time([&] { keydir.expired(INT64_MAX - 1, 1000, expired); });
    if (expired.empty()) break;
    for (const auto& one : expired) {
      removed += keydir.remove_if({one.database, one.key}, one.entry.lsn).has_value();
    }
  }
  if (removed != keys) std::abort();
  report.add("expire", per(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - before, keys), "ns/key");
  report.add("longest_choice_of_1000_expired", longest.microseconds(), "us");
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t keys = 1'000'000;
  bool json = false;
  std::string_view only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--keys" && i + 1 < argc) {
      keys = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (argument == "--json") {
      json = true;
    } else {
      std::fprintf(stderr,
                   "usage: index-bench [--keys N] [--json]"
                   " [--only operations|load|pauses|deadlines]\n");
      return 2;
    }
  }
  if (keys < 1000) keys = 1000;
  Report report(json);
  const auto wanted = [&](std::string_view part) { return only.empty() || only == part; };
  // First, while no freed memory of another part hides what it takes.
  if (wanted("operations")) bench_operations(report, keys);
  if (wanted("load")) bench_load(report, keys);
  if (wanted("pauses")) bench_pauses(report, keys);
  if (wanted("deadlines")) bench_deadlines(report, keys);
  report.end();
  return 0;
}

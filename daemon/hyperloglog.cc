#include "daemon/hyperloglog.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

namespace kvs::daemon {

namespace {

constexpr std::string_view magic = "HYLL";
constexpr std::size_t encoding_at = 4;
constexpr std::size_t cache_at = 8;
constexpr std::size_t cache_bytes = 8;
constexpr std::size_t header_bytes = 16;
constexpr std::uint8_t cache_invalid = 0x80;  // in the last byte of the cache

constexpr char encoding_dense = 0;
constexpr char encoding_sparse = 1;

constexpr unsigned index_bits = 14;
constexpr unsigned hash_bits = 64 - index_bits;  // of which zeros are counted
constexpr unsigned register_bits = 6;
constexpr std::uint8_t register_max = (1 << register_bits) - 1;
constexpr std::size_t dense_bytes = header_bytes + HyperLogLog::registers_count * register_bits / 8;

// Runs of a sparse value. 00xxxxxx: up to 64 zeros. 01xxxxxx yyyyyyyy: up to 16384 zeros.
// 1vvvvvxx: up to 4 registers with a value of 1 to 32.
constexpr std::size_t short_zeros_max = 64;
constexpr std::size_t values_max = 4;
constexpr std::uint8_t value_max = 32;

struct Run {
  std::size_t length = 0;
  std::uint8_t value = 0;
  std::size_t bytes = 1;
  bool long_zeros = false;
};

// The run at `at`. The second byte of a run that is cut off counts as 0, as in Redis, whose strings
// end with one.
Run run_at(std::string_view value, std::size_t at) {
  const auto byte = static_cast<std::uint8_t>(value[at]);
  if ((byte & 0x80) != 0) {
    return {std::size_t{byte & 3u} + 1, static_cast<std::uint8_t>(((byte >> 2) & 0x1f) + 1), 1,
            false};
  }
  if ((byte & 0x40) == 0) return {std::size_t{byte & 0x3fu} + 1, 0, 1, false};
  const std::uint8_t next = at + 1 < value.size() ? static_cast<std::uint8_t>(value[at + 1]) : 0;
  return {(std::size_t{byte & 0x3fu} << 8 | next) + 1, 0,
          std::min<std::size_t>(2, value.size() - at), true};
}

void append_zeros(std::string& runs, std::size_t length) {
  if (length == 0) return;
  if (length > short_zeros_max) runs += static_cast<char>(0x40 | ((length - 1) >> 8));
  runs += static_cast<char>((length - 1) & 0xff);
}

char values_run(std::uint8_t value, std::size_t length) {
  return static_cast<char>(0x80 | (value - 1) << 2 | static_cast<int>(length - 1));
}

void append_values(std::string& runs, std::uint8_t value, std::size_t length) {
  if (length > 0) runs += values_run(value, length);
}

// The register's bits begin at bit 6 * index of the registers, lowest first.
std::uint8_t dense_register(std::string_view value, std::size_t index) {
  const std::size_t bit = index * register_bits;
  const std::size_t at = header_bytes + bit / 8;
  unsigned two = static_cast<std::uint8_t>(value[at]);
  if (at + 1 < value.size())
    two |= static_cast<unsigned>(static_cast<std::uint8_t>(value[at + 1])) << 8;
  return static_cast<std::uint8_t>(two >> (bit % 8)) & register_max;
}

void set_dense_register(std::string& value, std::size_t index, std::uint8_t count) {
  const std::size_t bit = index * register_bits;
  const std::size_t at = header_bytes + bit / 8;
  const unsigned shift = bit % 8;
  const auto put = [&value](std::size_t where, unsigned bits, unsigned mask) {
    const unsigned old = static_cast<std::uint8_t>(value[where]);
    value[where] = static_cast<char>((old & ~mask) | (bits & mask));
  };
  put(at, static_cast<unsigned>(count) << shift,
      static_cast<unsigned>(register_max) << shift & 0xff);
  if (shift + register_bits > 8) {
    put(at + 1, static_cast<unsigned>(count) >> (8 - shift),
        static_cast<unsigned>(register_max) >> (8 - shift));
  }
}

std::uint64_t little_endian_64(const char* bytes) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t number = 0;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

// MurmurHash64A (Appleby), which is what all HyperLogLogs of Redis were made with.
std::uint64_t hash_of_element(std::string_view element) {
  constexpr std::uint64_t seed = 0xadc83b19;
  constexpr std::uint64_t multiplier = 0xc6a4a7935bd1e995;
  constexpr int shift = 47;
  std::uint64_t hash = seed ^ (element.size() * multiplier);
  for (; element.size() >= 8; element.remove_prefix(8)) {
    std::uint64_t word = little_endian_64(element.data()) * multiplier;
    word ^= word >> shift;
    hash = (hash ^ word * multiplier) * multiplier;
  }
  if (!element.empty()) {
    std::uint64_t word = 0;
    std::memcpy(&word, element.data(), element.size());
    hash = (hash ^ word) * multiplier;
  }
  hash = (hash ^ hash >> shift) * multiplier;
  return hash ^ hash >> shift;
}

// How many registers have each value.
using Histogram = std::array<std::uint32_t, register_max + 1>;

// Ertl's sigma and tau: series that are summed until nothing is added any more.
double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double sum = x;
  for (double weight = 1, before = -1; before != sum; weight += weight) {
    x *= x;
    before = sum;
    sum += x * weight;
  }
  return sum;
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double sum = 1 - x;
  for (double weight = 0.5, before = -1; before != sum; weight *= 0.5) {
    x = std::sqrt(x);
    before = sum;
    sum -= (1 - x) * (1 - x) * weight;
  }
  return sum / 3;
}

std::optional<std::uint64_t> estimate(const Histogram& histogram) {
  constexpr double alpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  constexpr double m = HyperLogLog::registers_count;
  double z = m * tau((m - histogram[hash_bits + 1]) / m);
  for (unsigned value = hash_bits; value >= 1; --value) z = (z + histogram[value]) * 0.5;
  z += m * sigma(histogram[0] / m);
  const double count = alpha * m * m / z;
  // All registers have values that no hash leads to.
  if (!(count < static_cast<double>(std::numeric_limits<std::int64_t>::max()))) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(count));
}

}  // namespace

bool HyperLogLog::looks_valid(std::string_view value) {
  if (value.size() < header_bytes || !value.starts_with(magic)) return false;
  if (value[encoding_at] == encoding_dense) return value.size() == dense_bytes;
  return value[encoding_at] == encoding_sparse;
}

std::string HyperLogLog::empty() {
  std::string value(header_bytes, '\0');
  value.replace(0, magic.size(), magic);
  value[encoding_at] = encoding_sparse;
  append_zeros(value, registers_count);
  return value;
}

bool HyperLogLog::dense() const noexcept {
  return value_[encoding_at] == encoding_dense;
}

HyperLogLog::Change HyperLogLog::add(std::string_view element) {
  const std::uint64_t hash = hash_of_element(element);
  const std::size_t index = hash & (registers_count - 1);
  // The bit behind the hash's own ends the count.
  const std::uint64_t rest = hash >> index_bits | std::uint64_t{1} << hash_bits;
  return raise(index, static_cast<std::uint8_t>(std::countr_zero(rest) + 1));
}

HyperLogLog::Change HyperLogLog::raise(std::size_t index, std::uint8_t count) {
  assert(index < registers_count && count > 0 && count <= register_max);
  return dense() ? raise_dense(index, count) : raise_sparse(index, count);
}

HyperLogLog::Change HyperLogLog::raise_dense(std::size_t index, std::uint8_t count) noexcept {
  if (dense_register(value_, index) >= count) return Change::none;
  set_dense_register(value_, index, count);
  return Change::changed;
}

HyperLogLog::Change HyperLogLog::raise_sparse(std::size_t index, std::uint8_t count) {
  const auto raise_as_dense = [&] {
    return make_dense() ? raise_dense(index, count) : Change::corrupt;
  };
  if (count > value_max) return raise_as_dense();

  // The run that holds the register, and the one before it.
  std::size_t previous = header_bytes;
  std::size_t at = header_bytes;
  std::size_t first = 0;  // register of the run
  Run run;
  for (;; at += run.bytes, first += run.length) {
    if (at >= value_.size()) return Change::corrupt;
    run = run_at(value_, at);
    if (index < first + run.length) break;
    previous = at;
  }
  if (run.value >= count) return Change::none;

  // What takes its place: the registers before, this one, and those behind.
  std::string runs;
  const std::size_t before = index - first;
  const std::size_t behind = run.length - before - 1;
  if (run.value == 0) {
    append_zeros(runs, before);
    append_values(runs, count, 1);
    append_zeros(runs, behind);
  } else {
    append_values(runs, run.value, before);
    append_values(runs, count, 1);
    append_values(runs, run.value, behind);
  }
  if (runs.size() > run.bytes && value_.size() + runs.size() - run.bytes > sparse_bytes_max) {
    return raise_as_dense();
  }
  // Redis takes a run that is cut off for a whole one, and so loses the last byte of the new ones.
  if (run.long_zeros && run.bytes == 1) runs.pop_back();
  value_.replace(at, run.bytes, runs);
  join_runs(previous);
  return Change::changed;
}

// Joins runs of equal values from `at` on, as far as Redis looks: five of them.
void HyperLogLog::join_runs(std::size_t at) {
  for (int looked_at = 0; looked_at < 5 && at < value_.size(); ++looked_at) {
    const Run run = run_at(value_, at);
    if (run.value != 0 && at + 1 < value_.size()) {
      const Run next = run_at(value_, at + 1);
      if (next.value == run.value && run.length + next.length <= values_max) {
        value_.replace(at, 2, 1, values_run(run.value, run.length + next.length));
        continue;
      }
    }
    at += run.bytes;
  }
}

// Calls `visit(first register, run)` for each run; false when they are not 16384 registers.
template <class Visit>
bool HyperLogLog::visit_runs(Visit&& visit) const {
  std::size_t first = 0;
  for (std::size_t at = header_bytes; at < value_.size();) {
    const Run run = run_at(value_, at);
    if (first + run.length > registers_count) return false;
    visit(first, run);
    first += run.length;
    at += run.bytes;
  }
  return first == registers_count;
}

bool HyperLogLog::make_dense() {
  if (dense()) return true;
  std::string wide(dense_bytes, '\0');
  wide.replace(0, header_bytes, value_, 0, header_bytes);
  wide[encoding_at] = encoding_dense;
  const bool complete = visit_runs([&wide](std::size_t first, const Run& run) {
    if (run.value == 0) return;
    for (std::size_t i = 0; i < run.length; ++i) set_dense_register(wide, first + i, run.value);
  });
  if (complete) value_ = std::move(wide);
  return complete;
}

bool HyperLogLog::merge_into(Registers& registers) const {
  const auto raise_one = [&registers](std::size_t index, std::uint8_t value) {
    registers[index] = std::max(registers[index], value);
  };
  if (dense()) {
    for (std::size_t i = 0; i < registers_count; ++i) raise_one(i, dense_register(value_, i));
    return true;
  }
  return visit_runs([&](std::size_t first, const Run& run) {
    if (run.value == 0) return;
    for (std::size_t i = 0; i < run.length; ++i) raise_one(first + i, run.value);
  });
}

std::optional<std::uint64_t> HyperLogLog::cached_count() const noexcept {
  const auto last = static_cast<std::uint8_t>(value_[cache_at + cache_bytes - 1]);
  if ((last & cache_invalid) != 0) return std::nullopt;
  return little_endian_64(value_.data() + cache_at);
}

void HyperLogLog::forget_count() noexcept {
  char& last = value_[cache_at + cache_bytes - 1];
  last = static_cast<char>(static_cast<std::uint8_t>(last) | cache_invalid);
}

void HyperLogLog::remember_count(std::uint64_t count) noexcept {
  std::memcpy(value_.data() + cache_at, &count, cache_bytes);
}

std::optional<std::uint64_t> HyperLogLog::count() const {
  Histogram histogram{};
  if (dense()) {
    for (std::size_t i = 0; i < registers_count; ++i) ++histogram[dense_register(value_, i)];
  } else if (!visit_runs([&histogram](std::size_t, const Run& run) {
               histogram[run.value] += static_cast<std::uint32_t>(run.length);
             })) {
    return std::nullopt;
  }
  return estimate(histogram);
}

std::optional<std::uint64_t> count_of(const HyperLogLog::Registers& registers) {
  Histogram histogram{};
  for (const std::uint8_t value : registers) ++histogram[value];
  return estimate(histogram);
}

}  // namespace kvs::daemon

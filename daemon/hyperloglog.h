// hyperloglog.h - Redis' encoding of HyperLogLogs in strings, byte for byte.
//
// A value is a header of 16 bytes (magic, encoding, cached cardinality) and 16384 registers: dense,
// 6 bits each, or sparse, as runs. `HyperLogLog` reads and changes such a value in place and makes
// the same bytes of the same elements as Redis 7 does. Nothing that a client may have stored as a
// value is trusted: whatever reads the registers checks that they are there.
//
// Flajolet, Fusy, Gandouet, Meunier: HyperLogLog, the analysis of a near-optimal cardinality
// estimation algorithm (2007). Ertl: New cardinality estimation algorithms for HyperLogLog sketches
// (arXiv:1702.01284), of which this is algorithm 6.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvs::daemon {

class HyperLogLog {
 public:
  static constexpr std::size_t registers_count = 16384;
  // Of a sparse value; one that would become longer becomes dense.
  static constexpr std::size_t sparse_bytes_max = 3000;
  using Registers = std::array<std::uint8_t, registers_count>;

  enum class Change : std::uint8_t { none, changed, corrupt };

  // Is `value` one at all? Registers are not looked at.
  static bool looks_valid(std::string_view value);
  // A sparse one in which nothing was counted.
  static std::string empty();

  // `value` must look valid; it outlives this.
  explicit HyperLogLog(std::string& value) noexcept : value_(value) {}

  bool dense() const noexcept;
  // Counts an element. The cache is left alone: see forget_count().
  Change add(std::string_view element);
  // Raises a register to at least `count`.
  Change raise(std::size_t index, std::uint8_t count);
  // False when the registers are corrupt.
  bool make_dense();
  // Raises each of `registers` to what this one has. False when the registers are corrupt.
  bool merge_into(Registers& registers) const;

  // The cached cardinality, if there is one.
  std::optional<std::uint64_t> cached_count() const noexcept;
  void forget_count() noexcept;
  void remember_count(std::uint64_t count) noexcept;
  // nullopt when the registers are corrupt.
  std::optional<std::uint64_t> count() const;

 private:
  Change raise_dense(std::size_t index, std::uint8_t count) noexcept;
  Change raise_sparse(std::size_t index, std::uint8_t count);
  void join_runs(std::size_t at);
  template <class Visit>
  bool visit_runs(Visit&& visit) const;

  std::string& value_;
};

// The cardinality that registers speak of; nullopt when no elements can have led to them.
std::optional<std::uint64_t> count_of(const HyperLogLog::Registers& registers);

}  // namespace kvs::daemon

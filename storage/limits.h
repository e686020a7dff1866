// limits.h - the bounds of the storage layer, each with its unit, and how they relate.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kvs::limits {

inline constexpr std::size_t key_bytes_max = std::size_t{512} << 20;    // as Redis
inline constexpr std::size_t value_bytes_max = std::size_t{512} << 20;  // as Redis
inline constexpr std::uint64_t segment_bytes_default = std::uint64_t{64} << 20;
inline constexpr std::uint64_t segment_bytes_min = 400;  // tests: everything happens often
inline constexpr std::uint64_t segment_bytes_max = std::uint64_t{2} << 30;
// A session that grew beyond this is committed before the next command (never inside MULTI/EXEC).
inline constexpr std::size_t session_bytes_soft = std::size_t{1} << 20;
// A session beyond this fails to commit; offsets in a segment must fit 32 bits.
inline constexpr std::uint64_t session_bytes_max = std::uint64_t{2} << 30;
static_assert(session_bytes_max >= key_bytes_max + value_bytes_max + 64, "one SET must fit");
static_assert(session_bytes_max + 4096 < (std::uint64_t{1} << 32));
static_assert(segment_bytes_max + 4096 < (std::uint64_t{1} << 32));

// Log sequence numbers are kept in 48 bits.
inline constexpr std::uint64_t lsn_max = (std::uint64_t{1} << 48) - 1;
// A read of a scan (recovery, compaction) asks for at least this much.
inline constexpr std::size_t scan_read_bytes = std::size_t{1} << 20;
// Compaction gathers survivors into frames of about this size.
inline constexpr std::size_t compaction_frame_bytes = std::size_t{256} << 10;
// After this much appended the kernel is asked to start writing it, so that no sync has it all.
inline constexpr std::uint64_t writeback_step_bytes = std::uint64_t{4} << 20;
// A session's buffer that grew beyond this is given back after its commit.
inline constexpr std::size_t session_buffer_kept_bytes = std::size_t{4} << 20;

}  // namespace kvs::limits

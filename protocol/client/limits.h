// limits.h - every bound of the client library, in one place.
#pragma once

#include <cstddef>

namespace kvs::client::limits {

// One value as the server allows it (proto-max-bulk-len).
inline constexpr std::size_t value_bytes_max = std::size_t{512} << 20;

// Commands that wait for their reply on one connection.
inline constexpr std::size_t operations_in_flight_max = std::size_t{1} << 20;

// Bytes of requests that the kernel has not taken yet.
inline constexpr std::size_t output_bytes_max = std::size_t{1} << 30;
static_assert(output_bytes_max > value_bytes_max + (1 << 20), "one full SET must fit");

// One reply on the wire, and the objects in it: what a server can make us keep.
inline constexpr std::size_t reply_bytes_max = std::size_t{1} << 30;
inline constexpr std::size_t reply_objects_max = std::size_t{1} << 24;
static_assert(reply_bytes_max > value_bytes_max, "one full GET must fit");

// Arrays in each other. COMMAND DOCS has twelve.
inline constexpr std::size_t reply_depth_max = 32;

// A status, error or integer, or the header of a string or array, without its end yet.
inline constexpr std::size_t reply_line_bytes_max = 64 * 1024;

// What one read takes from the socket.
inline constexpr std::size_t read_bytes = 64 * 1024;

// An empty buffer that has grown larger than this gives its memory back.
inline constexpr std::size_t kept_buffer_bytes_max = std::size_t{1} << 20;

// Commands that wait for a connection to be made again.
inline constexpr std::size_t operations_waiting_max = 64 * 1024;
inline constexpr std::size_t waiting_bytes_max = std::size_t{64} << 20;

// Messages of a subscription that nobody has taken yet; above, reading stops.
inline constexpr std::size_t messages_kept_max = 16 * 1024;

// Those who wait for a connection of a pool.
inline constexpr std::size_t pool_waiters_max = 64 * 1024;

}  // namespace kvs::client::limits

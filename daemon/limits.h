// limits.h - the bounds of the server, each with its unit, and how they relate.
#pragma once

#include <chrono>
#include <cstddef>

#include "storage/limits.h"

namespace kvs::limits {

// One loop's read buffer: what a single read(2) can bring.
inline constexpr std::size_t read_buffer_bytes = 64 * 1024;
// Requests of one connection in one step of its serve loop; more wait for the next step, so that a
// long pipeline does not starve its neighbours.
inline constexpr std::size_t step_requests_max = 1024;
// Replies of one connection in one step; the rest of its requests wait until these are written.
inline constexpr std::size_t step_output_bytes = 1 << 20;
// Connections whose requests ride in one batch (one pool job); each brings one step's requests.
inline constexpr std::size_t batch_connections_max = 1024;
// Replies of one batch, over all its connections; the connections behind wait for the next batch,
// so that what has been answered can leave, or be held against maxmemory-clients, first.
inline constexpr std::size_t batch_output_bytes = 16 << 20;
// Values read from the disk before a step of a connection runs.
inline constexpr std::size_t read_ahead_bytes_max = 16 << 20;
// The same of all connections of one loop; what is beyond it the pool reads, one after the other.
inline constexpr std::size_t loop_read_ahead_bytes_max = 64 << 20;
// Records that the loop has read beside it; it checks and copies them itself, so that longer ones
// would keep everybody waiting.
inline constexpr std::size_t cold_read_bytes_max = 1 << 20;
// Reads of one loop that the kernel has at a time (io_uring); more wait for their turn.
inline constexpr unsigned cold_reads_under_way_max = 128;
// Pool jobs of one loop that read such values at a time, where there is no io_uring; the default of
// --io-threads has that many threads more, so that nothing else waits for them.
inline constexpr unsigned cold_read_jobs_max = 4;
// While a connection's requests are being executed its input is still read, up to this; then
// reading stops until it has caught up.
inline constexpr std::size_t backlog_bytes_max = 1 << 20;
// Unsent reply bytes above which a connection's next requests wait.
inline constexpr std::size_t unsent_bytes_high = 256 * 1024;
// Plain text of one connection that is encrypted at a time: what TLS makes of a long reply lies
// beside it, and encrypting it must not keep the loop from others.
inline constexpr std::size_t tls_piece_bytes = 256 * 1024;
// Bytes for the network that TLS itself has made (answers to key updates, tickets) and that the
// client does not take.
inline constexpr std::size_t tls_protocol_bytes_max = 64 * 1024;
// What a TLS session costs beside our buffers, for maxmemory-clients.
inline constexpr std::size_t tls_session_bytes = 16 * 1024;
// A client that has not finished TLS's handshake by then is closed.
inline constexpr std::chrono::seconds tls_handshake_time_max{10};
// A buffer of a connection that has grown beyond this is given back when it is empty.
inline constexpr std::size_t kept_buffer_bytes = 16 * 1024;
// Who has sent so much of a long value gets the room for all of it.
inline constexpr std::size_t announced_input_trusted_bytes = 16 << 20;
// A request that takes longer than request-timeout must at least arrive at this rate.
inline constexpr std::size_t request_bytes_per_second_min = 1024;
// What one connection may hold in buffers whatever maxmemory-clients says.
inline constexpr std::size_t client_bytes_free = 64 * 1024;
// Queued commands of one MULTI, in bytes of their words.
inline constexpr std::size_t transaction_bytes_max = std::size_t{1} << 30;
// Before it has authenticated, what is kept for a client stays below 32 KiB in all. An incomplete
// request: the longest bulk that is taken then (S8), and what goes with it.
inline constexpr std::size_t unauthenticated_input_bytes_max = 20 * 1024;
// One read of it; while requests are being executed there is no other.
inline constexpr std::size_t unauthenticated_read_bytes = 4 * 1024;
// Replies of one step; the next waits until the client has read them.
inline constexpr std::size_t unauthenticated_output_bytes = 2 * 1024;

static_assert(read_ahead_bytes_max <= loop_read_ahead_bytes_max);
static_assert(cold_read_bytes_max <= read_ahead_bytes_max);
static_assert(backlog_bytes_max >= read_buffer_bytes, "one read must fit");

}  // namespace kvs::limits

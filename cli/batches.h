// batches.h - many commands in flight on one connection, from code that blocks: import waits for
// its file and export for its keys while the replies of earlier batches are on their way.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "protocol/async/future.h"
#include "protocol/client/background_client.h"

namespace kvs::cli {

// One batch leaves when it has so many commands, or bytes; and so many batches are under way.
inline constexpr std::size_t batch_commands_max = 1000;
inline constexpr std::size_t batch_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t batches_in_flight_max = 8;

using Words = std::vector<std::string>;

// One reply per command, in order. Thread: any; the commands are moved to the connection's.
Future<client::PipelineReplies> send_batch(client::BackgroundClient& client,
                                           std::vector<Words> commands);

}  // namespace kvs::cli

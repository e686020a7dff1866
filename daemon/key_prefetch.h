// key_prefetch.h - what the requests of a pipeline will read is fetched before the first of them
// runs.
//
// A GET of a key that nobody has asked for lately waits for main memory four times. In a pipeline
// the next requests are there already, so their keys are looked up side by side.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "daemon/command_table.h"
#include "protocol/resp/request_parser.h"
#include "storage/engine.h"

namespace kvs::daemon {

// Thread: the loop's. One for all its connections.
class KeyPrefetch {
 public:
  // Both outlive this.
  KeyPrefetch(const Engine& engine, const CommandTable& commands)
      : engine_(engine), commands_(commands) {}

  // Looks at the first requests in `input`, which begins with one, and tells the engine which keys
  // they will read of `database`. Returns how many requests behind the first these were: the caller
  // need not ask again before it has answered them.
  std::size_t look_at(std::string_view input, Database database);

 private:
  const Engine& engine_;
  const CommandTable& commands_;
  std::vector<Key> keys_;  // of one call
};

}  // namespace kvs::daemon

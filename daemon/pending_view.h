// pending_view.h - a database as a write session sees it: what is committed, changed by what is
// pending. For commands that look at all keys (SCAN, DBSIZE, RANDOMKEY) behind writes of the same
// batch or transaction.
//
// What is pending is at most a session's worth, so it is simply gone through; what is committed is
// asked of the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/engine.h"

namespace kvs::daemon {

// Thread: the one that holds the session.
class PendingView {
 public:
  PendingView(Engine& engine, WriteSession& session) : engine_(engine), session_(session) {}

  DatabaseStats stats(Database database) const;

  // As Engine::scan. Keys that exist only in the session come with the first step.
  Result<std::uint64_t> scan(Database database, std::uint64_t cursor, std::size_t count,
                             const ScanVisitor& visit) const;

  // As Engine::random_key.
  Result<std::optional<std::string>> random_key(Database database) const;

 private:
  std::optional<KeyInfo> committed(Key key) const;
  std::optional<KeyInfo> now(Key key) const;
  std::vector<std::string> created(Database database) const;

  Engine& engine_;
  WriteSession& session_;
};

}  // namespace kvs::daemon

// harness.h - a whole server without sockets: command table, executor and an engine.
//
// The engine is the one given, or, when KVS_TEST_ENGINE is set, that one on a directory, or a
// MapEngine.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/acl/accounts.h"
#include "daemon/client.h"
#include "daemon/client_registry.h"
#include "daemon/command_table.h"
#include "daemon/config.h"
#include "daemon/context.h"
#include "daemon/durability.h"
#include "daemon/executor.h"
#include "daemon/metrics.h"
#include "daemon/operations.h"
#include "daemon/settings.h"
#include "daemon/watches.h"
#include "storage/options.h"
#include "tests/support/map_engine.h"
#include "tests/support/temp_dir.h"

namespace kvs::daemon::test {

// Words as a shell would read them: parted by spaces, '...' is one word; <00> is a zero byte.
std::vector<std::string> words_of(std::string_view line);

// A reply for eyes and tables: without its last line end, a space for each other,
// <00> for a zero byte.
std::string shown(std::string_view reply);

// Does `text` equal `pattern`, in which %d stands for any number?
bool fits(std::string_view text, std::string_view pattern);

class TestClient;

struct TestServer {
  explicit TestServer(Config start = {}, std::unique_ptr<Engine> given = nullptr);

  const Config config;
  kvs::test::MapEngine engine;
  const kvs::test::TempDir directory;
  const std::unique_ptr<Engine> real_engine;  // null: `engine` is used
  const CommandTable commands;
  Settings settings;
  ClientRegistry clients;
  Metrics metrics;
  Watches watches;
  SyncTurn turn{engine_in_use()};
  LoadStatus load_status;
  PubSub pubsub;
  Operations operations{settings};
  acl::Accounts accounts{commands, config.requirepass};
  Services services;

 private:
  Engine& engine_in_use() { return real_engine != nullptr ? *real_engine : engine; }
};

// A connection: what its requests are answered. Runs them as the daemon does, on the "loop" when
// nothing can wait and as a batch otherwise.
class TestClient {
 public:
  explicit TestClient(TestServer& server);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  // One request; the raw reply.
  std::string raw(const std::vector<std::string>& words);
  // One request as a line; the reply as `shown` writes it.
  std::string operator()(std::string_view line) { return shown(raw(words_of(line))); }
  // Several requests in one batch; all their replies.
  std::string pipeline(const std::vector<std::string>& lines);

  Client& client() { return client_; }
  // What must be synced before the replies to the last request or pipeline leave; 0: nothing.
  Position position() const { return position_; }
  // Did the last request run without the pool?
  bool ran_inline() const { return ran_inline_; }

 private:
  TestServer& server_;
  Client client_;
  bool ran_inline_ = false;
  Position position_ = 0;
};

}  // namespace kvs::daemon::test

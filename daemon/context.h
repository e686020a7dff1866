// context.h - what a command handler sees: the client, the keys, and the services of the server.
//
// The same handler runs in two places. On a loop thread its reads are `resident_only`: when a value
// is not in memory the read answers Code::would_block, the handler returns after
// `reply.error(error)`, and the executor throws that reply away and runs the handler again on the
// pool. On the pool, writes (and reads behind them) go through a write session. Handlers need not
// know which; they only must not change anything before their last read.
// Thread: the one that runs the handler, for the time of the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/client.h"
#include "daemon/command_table.h"
#include "daemon/load_status.h"
#include "protocol/async/result.h"
#include "storage/engine.h"

namespace kvs::daemon {

namespace acl {
class Accounts;
}

class Backups;
class ClientRegistry;
class Metrics;
class PubSub;
struct Operations;
class Settings;
class SyncTurn;
class Watches;
struct Config;
struct Message;

// What all connections share. Everything in here is thread-safe and outlives the workers.
struct Services {
  const Config& config;
  const CommandTable& commands;
  Engine& engine;
  Settings& settings;
  ClientRegistry& clients;
  Metrics& metrics;
  Watches& watches;
  const SyncTurn& sync_turn;
  PubSub& pubsub;
  Operations& operations;
  acl::Accounts& accounts;
  const LoadStatus& load_status = nothing_to_load;
  Backups* backups = nullptr;  // null: none are made
};

// Is looking at a key a read, which counts as a hit or a miss, and of whose miss is told (keymiss)?
enum class Lookup : std::uint8_t {
  as_flagged,  // if the command that runs does not write
  read,
  untold,  // as flagged, but a miss is not told of
  unseen,  // not counted either
};

class Context {
 public:
  Client& client;
  Services& services;

  // --- keys of the client's database (or of `database`) ---

  // What is known of `key`, without its value; nullopt: absent (or expired).
  Result<std::optional<KeyInfo>> find(std::string_view key, Lookup lookup = Lookup::as_flagged);
  Result<std::optional<KeyInfo>> find(Database database, std::string_view key,
                                      Lookup lookup = Lookup::as_flagged);

  // The same with the value. `value` is set when the key is present.
  Result<std::optional<KeyInfo>> get(std::string_view key, std::string& value,
                                     Lookup lookup = Lookup::as_flagged);
  Result<std::optional<KeyInfo>> get(Database database, std::string_view key, std::string& value,
                                     Lookup lookup = Lookup::as_flagged);

  // Only in commands flagged `writes` (or `in_session`, if can_write()). Nothing is visible to
  // others before the batch commits, and the client's reply leaves only after that.
  void put(std::string_view key, std::string_view value, UnixMs expire_at);
  void put(Database database, std::string_view key, std::string_view value, UnixMs expire_at);
  // The same for a `value` that is a word of the request: a large one is not copied.
  void put_argument(std::string_view key, std::string_view value, UnixMs expire_at);
  // The same where Redis removes what is there first: it tells of a new key in any case.
  void put_as_new(Database database, std::string_view key, std::string_view value,
                  UnixMs expire_at);
  void remove(std::string_view key);
  void remove(Database database, std::string_view key);
  void clear(Database database);
  void swap(Database first, Database second);
  // For commands that only would like to write: false when there is no session, or no room for more
  // on the disk.
  bool can_write() const;
  // What this command writes becomes visible at one instant. The executor sees to it for commands
  // with several keys.
  void publish_together();

  // As the engine's, of the client's database; they see the pending writes of the session too. The
  // first two always answer would_block on a loop thread: they may take long.
  Result<std::uint64_t> scan(std::uint64_t cursor, std::size_t count, const ScanVisitor& visit);
  Result<std::uint64_t> scan(Database database, std::uint64_t cursor, std::size_t count,
                             const ScanVisitor& visit);
  Result<std::optional<std::string>> random_key();
  DatabaseStats database_stats(Database database);
  // The same for INFO, whose figures promise nothing and so wait for nothing.
  DatabaseStats figures_of(Database database) const;

  // Delivers a message once everything that this batch has written before is visible, and returns
  // how many subscribers get it.
  std::size_t publish(Message message);

  // Tells keyspace notifications what has happened to `key`. `event_class` is one of NotifyFlags.
  void notify(std::uint32_t event_class, std::string_view event, std::string_view key);
  void notify(std::uint32_t event_class, std::string_view event, Database database,
              std::string_view key);

  // The command that runs wants its reply to be at least so safe. Before it looks at keys.
  void ask_for(Durability durability);

  // Is everything that is committed, and that this batch is about to commit, synced?
  bool all_synced() const;
  // Is EXEC running? Then no command may wait.
  bool in_transaction() const;

  // Wall clock, read once per command (once per transaction inside EXEC).
  UnixMs now() const noexcept { return now_; }

  // Runs one handler, with everything that observes commands around it (slow log, monitors, tracked
  // keys, times). For executor.cc and EXEC.
  void run_handler(const Command& command, Args args, resp::ReplyWriter& reply);
  // Runs a handler as a part of the command that runs (a script).
  void run_part(const Command& command, Args args, resp::ReplyWriter& reply);

  // Runs the queued commands of the client's transaction; only EXEC calls it.
  void run_transaction(resp::ReplyWriter& reply);

  // --- for executor.cc ---
  struct Keys;  // where this context reads and writes: see executor.cc
  Context(Client& client_of_request, Services& server_services, Keys& keys, UnixMs now) noexcept
      : client(client_of_request), services(server_services), keys_(keys), now_(now) {}

 private:
  bool reply_too_long();
  bool may_look_at_all_keys();
  void depends_on_everything();
  void depends_on(std::string_view name);
  bool has_pending_writes() const;
  void note_that_everything_changed();
  void note(const Result<std::optional<KeyInfo>>& found, Key key, Lookup lookup);
  void notify_if_new(Key key);
  void note_put(Key key);
  void note_change(std::string_view name);
  void remember_keys(const Command& command, Args args);

  Keys& keys_;
  UnixMs now_;
};

}  // namespace kvs::daemon

// command_table.h - one row per command: name, arity, flags, where the keys are, handler, and the
// documentation that COMMAND DOCS answers.
//
// To add a command: a row in its family's table (daemon/commands/), a function, a test, a line in
// README. Nothing registers itself; main builds the table from the families' rows.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp/reply_writer.h"

namespace kvs::daemon {

class Context;

// The words of a request; args[0] is the command's name as the client wrote it.
using Args = std::span<const std::string_view>;

// Answers exactly one reply, or leaves that to the connection (Client::sync_wait).
using Handler = void (*)(Context& context, Args args, resp::ReplyWriter& reply);

enum Flags : std::uint32_t {
  reads = 1u << 0,         // looks at keys
  writes = 1u << 1,        // changes keys: runs in a write session, on the pool
  reads_values = 1u << 2,  // a write that needs old values of its keys: brought in beforehand
  slow = 1u << 3,          // may look at every key: a pool job of its own
  no_auth = 1u << 4,       // allowed before AUTH
  not_queued = 1u << 5,    // runs at once inside MULTI (EXEC, DISCARD, WATCH, QUIT, RESET ...)
  no_multi = 1u << 6,      // refused inside MULTI
  admin = 1u << 7,
  fast = 1u << 8,                // O(1) or O(log n), as Redis flags it
  loading = 1u << 9,             // as Redis flags it
  stale = 1u << 10,              // as Redis flags it
  deny_oom = 1u << 11,           // may need more memory: Redis' "denyoom"
  connection_family = 1u << 12,  // @connection
  dangerous = 1u << 13,          // @dangerous
  pubsub_family = 1u << 14,
  transaction_family = 1u << 15,
  no_script = 1u << 16,         // as Redis flags it
  in_session = 1u << 17,        // runs in a write session though it is not flagged `writes`
  keyspace_family = 1u << 18,   // @keyspace
  allow_busy = 1u << 19,        // as Redis flags it
  skip_slowlog = 1u << 20,      // as Redis flags it
  no_async_loading = 1u << 21,  // as Redis flags it
  while_subscribed = 1u << 22,  // allowed to a RESP2 connection that has subscriptions
  may_replicate = 1u << 23,     // as Redis flags it: CLIENT PAUSE WRITE holds it too
  skip_monitor = 1u << 24,      // as Redis flags it
  keys_optional = 1u << 25,     // as Redis flags it: "no_mandatory_keys"
  guarded = 1u << 26,           // refused unless the configuration allows it (resolve_request)
};

// Which words are keys, as COMMAND reports it: first, last (negative: from the end), step; 0 0 0:
// none. With `counted_at` that word says how many keys there are from `first` on, and `last` means
// nothing.
struct KeyRange {
  int first = 0;
  int last = 0;
  int step = 0;
  int counted_at = 0;
};

struct CommandDoc {
  std::string_view summary;
  std::string_view since;  // Redis version that introduced it
  std::string_view group;  // "string", "generic", "connection", "server", "transactions"
  std::string_view complexity;
  std::string_view syntax;  // as redis.io writes it, e.g. "key value [NX | XX] [GET] [EX seconds]"
  std::string_view key_access =
      {};                      // flags of the key specs as COMMAND INFO lists them, "RO access";
                               // ';' parts the specs of first and second key (RENAME, COPY)
  std::string_view tips = {};  // of COMMAND INFO, parted by spaces
};

struct Command {
  std::string_view name;  // lower case; of a subcommand "client|id"
  int arity;              // as Redis: positive exact, negative at least; counts the name
  std::uint32_t flags;
  KeyRange keys;
  Handler handler;
  CommandDoc doc;
  std::span<const Command> subcommands = {};  // of a container command; its handler answers errors

  bool has(Flags flag) const noexcept { return (flags & flag) != 0; }
  bool arity_fits(std::size_t words) const noexcept {
    return arity >= 0 ? words == static_cast<std::size_t>(arity)
                      : words >= static_cast<std::size_t>(-arity);
  }
  // Where the keys among `words` are: words[first], words[first + step] ... up to and with
  // words[last]. The step is 0, and last less than first, when there are none.
  KeyRange keys_in(Args words) const noexcept;
};

// Immutable after construction. Thread: any.
class CommandTable {
 public:
  // Takes the rows of all families; the spans must be static.
  explicit CommandTable(std::initializer_list<std::span<const Command>> families);

  // Finds a top-level command by name in any case; null when unknown.
  const Command* find(std::string_view name) const noexcept;

  // Finds the command, or subcommand, that `args` name, whatever their number; null when unknown.
  const Command* named(Args args) const noexcept;

  // Finds what `args` runs: a command, or the subcommand when args[0] is a container. `error` is
  // set to the reply line when there is none ("ERR unknown command 'X', with args beginning with:
  // ...", "ERR unknown subcommand 'x'. Try CLIENT HELP.") or when the number of words is wrong
  // ("ERR wrong number of arguments for 'x' command"); then null is returned.
  const Command* resolve(Args args, std::string& error) const;

  std::span<const Command* const> all() const noexcept { return sorted_; }  // top level, by name

 private:
  std::vector<const Command*> sorted_;
  std::vector<const Command*> slots_;  // open addressing, at most half full; null: free
};

// The built-in commands, one family per file of daemon/commands/.
std::span<const Command> string_commands();  // strings.cc, counters.cc
std::span<const Command> counter_commands();
std::span<const Command> generic_commands();     // keys.cc: DEL EXISTS TYPE RENAME COPY ...
std::span<const Command> expiry_commands();      // expiry.cc: EXPIRE ... PERSIST TTL
std::span<const Command> scan_commands();        // scan.cc: KEYS SCAN RANDOMKEY DBSIZE FLUSH*
std::span<const Command> connection_commands();  // connection.cc: PING ECHO HELLO AUTH SELECT ...
std::span<const Command> client_commands();      // clients.cc: CLIENT ...
std::span<const Command> server_commands();      // server.cc: INFO CONFIG TIME ...
std::span<const Command> slowlog_commands();     // slowlog.cc: SLOWLOG ...
std::span<const Command> latency_commands();     // latency.cc: LATENCY ...
std::span<const Command> memory_commands();      // memory.cc: MEMORY ...
std::span<const Command> operating_commands();   // operating.cc: MONITOR SHUTDOWN DEBUG LOLWUT
std::span<const Command> backup_commands();      // backup.cc: SAVE BGSAVE LASTSAVE
std::span<const Command> kvs_commands();         // kvs.cc: KVS BACKUP, SCRUB ...
std::span<const Command> introspection_commands();  // introspection.cc: COMMAND ...
std::span<const Command> transaction_commands();    // transactions.cc: MULTI EXEC DISCARD WATCH
std::span<const Command> pubsub_commands();         // pubsub.cc: SUBSCRIBE PUBLISH PUBSUB ...
std::span<const Command> acl_commands();            // acl.cc: ACL ...
std::span<const Command> bitmap_commands();         // bitmaps.cc: SETBIT BITCOUNT BITFIELD ...
std::span<const Command> conditional_commands();    // conditional.cc: DELEX DIGEST MSETEX ...
std::span<const Command> subsequence_commands();    // lcs.cc: LCS
std::span<const Command> hyperloglog_commands();    // hyperloglog.cc: PFADD PFCOUNT PFMERGE
std::span<const Command> dump_commands();           // dump.cc: DUMP RESTORE
std::span<const Command> script_commands();         // scripts.cc: EVAL EVALSHA SCRIPT

}  // namespace kvs::daemon

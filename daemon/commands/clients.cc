// clients.cc - CLIENT: the connection's own name and number, and the list of all connections.
//
// An unknown subcommand is answered as Redis does, which every client library takes for "not
// supported". What changes how the connection is served is in client_control.cc and
// client_caching.cc.
#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "daemon/acl/accounts.h"
#include "daemon/client_registry.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/client_handlers.h"
#include "daemon/commands/session_state.h"
#include "daemon/context.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

std::int64_t seconds_since(std::int64_t past_ms, UnixMs now) {
  return std::max<std::int64_t>((now - past_ms) / 1000, 0);
}

bool is_subscribed(const ClientShared& client) {
  return std::any_of(std::begin(client.subscriptions), std::end(client.subscriptions),
                     [](const auto& count) { return count.load(std::memory_order_relaxed) != 0; });
}

// One line of CLIENT LIST. Figures that Redis keeps and kvs does not are given as zero.
std::string describe(ClientShared& client, UnixMs now) {
  std::string name;
  std::string user;
  std::string library_name;
  std::string library_version;
  {
    std::scoped_lock lock(client.mutex);
    name = client.name;
    user = client.user;
    library_name = client.library_name;
    library_version = client.library_version;
  }
  const Command* last = client.last_command.load(std::memory_order_relaxed);
  const std::uint64_t input_bytes = client.input_bytes.load(std::memory_order_relaxed);
  const std::uint64_t output_bytes = client.output_bytes.load(std::memory_order_relaxed);
  const int queued = client.queued.load(std::memory_order_relaxed);

  std::string line;
  const auto text = [&line](std::string_view field, std::string_view value) {
    if (!line.empty()) line += ' ';
    line.append(field).append("=").append(value);
  };
  const auto number = [&text](std::string_view field, auto value) {
    text(field, std::to_string(value));
  };
  number("id", client.id);
  text("addr", client.address);
  text("laddr", client.local_address);
  number("fd", client.fd);
  text("name", name);
  number("age", seconds_since(client.connected_at_ms, now));
  const std::int64_t active_at = client.last_active_ms.load(std::memory_order_relaxed);
  number("idle", seconds_since(active_at != 0 ? active_at : client.connected_at_ms, now));
  const auto subscribed = [&client](Subscription kind) {
    return client.subscriptions[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
  };
  std::string flags;
  if (client.has(ClientShared::monitor_flag)) flags += 'O';
  if (is_subscribed(client)) flags += 'P';
  if (queued >= 0) flags += 'x';
  if (client.has(ClientShared::tracking_flag)) flags += 't';
  if (client.has(ClientShared::broadcast_flag)) flags += 'B';
  if (client.has(ClientShared::unix_socket_flag)) flags += 'U';
  if (client.has(ClientShared::no_evict_flag)) flags += 'e';
  if (client.has(ClientShared::no_touch_flag)) flags += 'T';
  text("flags", flags.empty() ? "N" : flags);
  number("db", client.database.load(std::memory_order_relaxed));
  number("sub", subscribed(Subscription::channel));
  number("psub", subscribed(Subscription::pattern));
  number("ssub", subscribed(Subscription::shard));
  number("multi", queued);
  number("qbuf", input_bytes);
  text("qbuf-free", "0");
  text("argv-mem", "0");
  text("multi-mem", "0");
  text("rbs", "0");
  text("rbp", "0");
  number("obl", output_bytes);
  text("oll", "0");
  text("omem", "0");
  number("tot-mem", input_bytes + output_bytes);
  text("events", "r");
  text("cmd", last != nullptr ? last->name : "NULL");
  text("user", user);
  number("redir", client.redirect.load(std::memory_order_relaxed));
  number("resp", client.protocol.load(std::memory_order_relaxed));
  text("lib-name", library_name);
  text("lib-ver", library_version);
  text("durability", to_string(client.durability.load(std::memory_order_relaxed)));
  line += '\n';
  return line;
}

void client_id(Context& context, Args, ReplyWriter& reply) {
  reply.integer(static_cast<std::int64_t>(context.client.shared->id));
}

void client_getname(Context& context, Args, ReplyWriter& reply) {
  std::string name;
  {
    std::scoped_lock lock(context.client.shared->mutex);
    name = context.client.shared->name;
  }
  if (name.empty()) return reply.null();
  reply.bulk(name);
}

void client_setname(Context& context, Args args, ReplyWriter& reply) {
  if (set_name(context.client, args[2], reply)) reply.ok();
}

// CLIENT SETINFO LIB-NAME|LIB-VER value.
void client_setinfo(Context& context, Args args, ReplyWriter& reply) {
  ClientShared& client = *context.client.shared;
  std::string* field = nullptr;
  if (is_word(args[2], "LIB-NAME")) field = &client.library_name;
  if (is_word(args[2], "LIB-VER")) field = &client.library_version;
  if (field == nullptr) {
    return reply.error("ERR Unrecognized option '" + as_printed(args[2]) + "'");
  }
  if (!is_printable_name(args[3])) {
    return reply.error("ERR " + as_printed(args[2]) +
                       " cannot contain spaces, newlines or special characters.");
  }
  {
    std::scoped_lock lock(client.mutex);
    *field = args[3];
  }
  reply.ok();
}

void client_info(Context& context, Args, ReplyWriter& reply) {
  reply.verbatim(describe(*context.client.shared, context.now()));
}

// Replication has no clients here: its types exist and are empty.
enum class ClientType : std::uint8_t { normal, pubsub, other };

ClientType type_of(const ClientShared& client) {
  return is_subscribed(client) ? ClientType::pubsub : ClientType::normal;
}

std::optional<ClientType> type_argument(std::string_view word, ReplyWriter& reply) {
  if (is_word(word, "NORMAL")) return ClientType::normal;
  if (is_word(word, "PUBSUB")) return ClientType::pubsub;
  for (const std::string_view other : {"MASTER", "SLAVE", "REPLICA"}) {
    if (is_word(word, other)) return ClientType::other;
  }
  reply.error("ERR Unknown client type '" + as_printed(word) + "'");
  return std::nullopt;
}

// CLIENT LIST [TYPE type | ID id [id ...]].
void client_list(Context& context, Args args, ReplyWriter& reply) {
  auto clients = context.services.clients.list();
  if (args.size() == 4 && is_word(args[2], "TYPE")) {
    const auto type = type_argument(args[3], reply);
    if (!type) return;
    std::erase_if(clients, [type](const auto& client) { return type_of(*client) != *type; });
  } else if (args.size() > 3 && is_word(args[2], "ID")) {
    // In the order and as often as asked for.
    std::vector<std::shared_ptr<ClientShared>> chosen;
    for (const std::string_view word : args.subspan(3)) {
      const auto id = integer_argument(word, reply, "ERR Invalid client ID");
      if (!id) return;
      const auto client = std::find_if(clients.begin(), clients.end(), [&](const auto& c) {
        return c->id == static_cast<std::uint64_t>(*id);
      });
      if (client != clients.end()) chosen.push_back(*client);
    }
    clients = std::move(chosen);
  } else if (args.size() != 2) {
    return reply.error(texts::syntax_error);
  }
  std::string lines;
  for (const auto& client : clients) lines += describe(*client, context.now());
  reply.verbatim(lines);
}

struct KillFilter {
  std::optional<std::uint64_t> id;
  std::optional<std::string_view> address;
  std::optional<std::string_view> local_address;
  std::optional<std::string_view> user;
  std::optional<ClientType> type;
  bool skip_me = true;

  bool matches(ClientShared& client, const ClientShared& me) const {
    if (skip_me && client.id == me.id) return false;
    if (type && type_of(client) != *type) return false;
    if (id && client.id != *id) return false;
    if (user) {
      std::scoped_lock lock(client.mutex);
      if (client.user != *user) return false;
    }
    if (address && client.address != *address) return false;
    return !local_address || client.local_address == *local_address;
  }
};

std::optional<KillFilter> kill_filter_argument(Context& context, Args args, ReplyWriter& reply) {
  KillFilter filter;
  if (args.size() == 3) {
    filter.address = args[2];
    filter.skip_me = false;
    return filter;
  }
  for (std::size_t i = 2; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return reply.error(texts::syntax_error), std::nullopt;
    const std::string_view value = args[i + 1];
    if (is_word(args[i], "ID")) {
      const auto id = parse_integer(value);
      if (!id || *id < 1) {
        return reply.error("ERR client-id should be greater than 0"), std::nullopt;
      }
      filter.id = static_cast<std::uint64_t>(*id);
    } else if (is_word(args[i], "TYPE")) {
      filter.type = type_argument(value, reply);
      if (!filter.type) return std::nullopt;
    } else if (is_word(args[i], "ADDR")) {
      filter.address = value;
    } else if (is_word(args[i], "LADDR")) {
      filter.local_address = value;
    } else if (is_word(args[i], "USER")) {
      if (context.services.accounts.find(value) == nullptr) {
        return reply.error("ERR No such user '" + as_printed(value) + "'"), std::nullopt;
      }
      filter.user = value;
    } else if (is_word(args[i], "SKIPME") && is_word(value, "YES")) {
      filter.skip_me = true;
    } else if (is_word(args[i], "SKIPME") && is_word(value, "NO")) {
      filter.skip_me = false;
    } else {
      return reply.error(texts::syntax_error), std::nullopt;
    }
  }
  return filter;
}

// CLIENT KILL address: OK or an error. CLIENT KILL filter value ...: how many were closed.
void client_kill(Context& context, Args args, ReplyWriter& reply) {
  const auto filter = kill_filter_argument(context, args, reply);
  if (!filter) return;
  const ClientShared& me = *context.client.shared;
  std::int64_t killed = 0;
  for (const auto& client : context.services.clients.list()) {
    if (!filter->matches(*client, me)) continue;
    if (client->id == me.id) {
      context.client.close_after_reply = true;  // the reply is owed first
      ++killed;
    } else if (context.services.clients.kill(client->id)) {
      ++killed;
    }
  }
  if (args.size() > 3) return reply.integer(killed);
  if (killed == 0) return reply.error("ERR No such client");
  reply.ok();
}

void client_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 52> lines = {
      "CACHING (YES|NO)",
      "    Track the keys of the next command, or not, in OPTIN or OPTOUT mode.",
      "DURABILITY [KERNEL|SYNC|DEFAULT]",
      "    Say when replies to the current connection leave: once the kernel has what they depend",
      "    on, after a sync, or as the server's policy has it. Return what is in force.",
      "GETNAME",
      "    Return the name of the current connection.",
      "GETREDIR",
      "    Return the ID of the client that is told of changes instead of this one.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current client connection.",
      "KILL <ip:port>",
      "    Kill connection made from <ip:port>.",
      "KILL <option> <value> [<option> <value> [...]]",
      "    Kill connections. Options are:",
      "    * ADDR <ip:port>",
      "      Kill connections made from the specified address",
      "    * LADDR <ip:port>",
      "      Kill connections made to specified local address",
      "    * ID <client-id>",
      "      Kill the connection of that ID.",
      "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
      "      Kill connections by type.",
      "    * USER <username>",
      "      Kill connections authenticated by <username>.",
      "    * SKIPME (YES|NO)",
      "      Skip killing current connection (default: yes).",
      "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <client-id> [...]]",
      "    Return information about client connections.",
      "NO-EVICT (ON|OFF)",
      "    Accepted; connections are never evicted.",
      "NO-TOUCH (ON|OFF)",
      "    Accepted; access times are not kept.",
      "PAUSE <timeout> [WRITE|ALL]",
      "    Let all commands, or just writes, wait for <timeout> milliseconds.",
      "REPLY (ON|OFF|SKIP)",
      "    Control the replies sent to the current connection.",
      "SETINFO (LIB-NAME|LIB-VER) <value>",
      "    Tell the server which client library is used.",
      "SETNAME <name>",
      "    Assign the name <name> to the current connection.",
      "    An empty name takes it away.",
      "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
      "    Tell the connection when keys that it has read change.",
      "TRACKINGINFO",
      "    Report what is tracked for the current connection.",
      "UNBLOCK <client-id> [TIMEOUT|ERROR]",
      "    Unblock the specified blocked client; none ever is.",
      "UNPAUSE",
      "    End a pause.",
  };
  reply_help(reply, "CLIENT", lines);
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t own = no_script | loading | stale | connection_family;
constexpr std::uint32_t of_others = own | admin | dangerous;

constexpr std::array subcommand_rows{
    Command{"client|caching",
            3,
            own,
            no_keys,
            client_caching,
            {"Says whether the keys of the next command are tracked.", "6.0.0", "connection",
             "O(1)", "<YES | NO>"}},
    Command{"client|durability",
            -2,
            own,
            no_keys,
            client_durability,
            {"Says how safe things must be before the connection is told of them.", "7.0.0",
             "connection", "O(1)", "[KERNEL | SYNC | DEFAULT]"}},
    Command{"client|getname",
            2,
            own,
            no_keys,
            client_getname,
            {"Returns the name of the connection.", "2.6.9", "connection", "O(1)", ""}},
    Command{"client|getredir",
            2,
            own,
            no_keys,
            client_getredir,
            {"Returns who is told of changes instead of this connection.", "6.0.0", "connection",
             "O(1)", ""}},
    Command{"client|help",
            2,
            loading | stale | connection_family,
            no_keys,
            client_help,
            {"Lists the subcommands.", "5.0.0", "connection", "O(1)", ""}},
    Command{"client|id",
            2,
            own,
            no_keys,
            client_id,
            {"Returns the number of the connection.", "5.0.0", "connection", "O(1)", ""}},
    Command{"client|info",
            2,
            own,
            no_keys,
            client_info,
            {"Describes the connection.", "6.2.0", "connection", "O(1)", "", "",
             "nondeterministic_output"}},
    Command{"client|kill",
            -3,
            of_others,
            no_keys,
            client_kill,
            {"Closes connections.", "2.4.0", "connection", "O(N) with N the number of connections",
             "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] "
             "[USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]>"}},
    Command{"client|list",
            -2,
            of_others,
            no_keys,
            client_list,
            {"Describes all connections.", "2.4.0", "connection",
             "O(N) with N the number of connections",
             "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", "",
             "nondeterministic_output"}},
    Command{
        "client|no-evict",
        3,
        of_others,
        no_keys,
        client_no_evict,
        {"Accepted; connections are never evicted.", "7.0.0", "connection", "O(1)", "<ON | OFF>"}},
    Command{"client|no-touch",
            3,
            own,
            no_keys,
            client_no_touch,
            {"Accepted; access times are not kept.", "7.2.0", "connection", "O(1)", "<ON | OFF>"}},
    Command{"client|pause",
            -3,
            of_others,
            no_keys,
            client_pause,
            {"Lets the commands of all clients wait.", "3.0.0", "connection", "O(1)",
             "timeout [WRITE | ALL]"}},
    Command{"client|reply",
            3,
            own,
            no_keys,
            client_reply,
            {"Says whether the connection wants replies.", "3.2.0", "connection", "O(1)",
             "<ON | OFF | SKIP>"}},
    Command{"client|setinfo",
            4,
            own,
            no_keys,
            client_setinfo,
            {"Notes name or version of the client library.", "7.2.0", "connection", "O(1)",
             "<LIB-NAME libname | LIB-VER libver>"}},
    Command{"client|setname",
            3,
            own,
            no_keys,
            client_setname,
            {"Names the connection.", "2.6.9", "connection", "O(1)", "connection-name"}},
    Command{"client|tracking",
            -3,
            own,
            no_keys,
            client_tracking,
            {"Tells the connection when keys that it has read change.", "6.0.0", "connection",
             "O(1), and O(N) with N the number of tracked keys when it ends",
             "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [prefix ...]] [BCAST] [OPTIN] "
             "[OPTOUT] [NOLOOP]"}},
    Command{"client|trackinginfo",
            2,
            own,
            no_keys,
            client_trackinginfo,
            {"Returns what is tracked for the connection.", "6.2.0", "connection", "O(1)", ""}},
    Command{"client|unblock",
            -3,
            of_others,
            no_keys,
            client_unblock,
            {"Returns 0: no command waits for other clients.", "5.0.0", "connection", "O(1)",
             "client-id [TIMEOUT | ERROR]"}},
    Command{"client|unpause",
            2,
            of_others,
            no_keys,
            client_unpause,
            {"Ends CLIENT PAUSE.", "6.2.0", "connection", "O(1)", ""}},
};

constexpr std::array rows{
    Command{"client",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands about connections.", "2.4.0", "connection",
             "Depends on subcommand.", ""},
            subcommand_rows},
};

}  // namespace

std::string client_line(ClientShared& client, UnixMs now) {
  return describe(client, now);
}

std::span<const Command> client_commands() {
  return rows;
}

}  // namespace kvs::daemon

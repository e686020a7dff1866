// connection.cc - what a client says about its connection: PING, HELLO, AUTH, SELECT, RESET ...
//
// HELLO writes its reply in the version that it has just switched to; every other reply uses the
// version that was in force when its command began.
#include <array>

#include "daemon/acl/gate.h"
#include "daemon/client_registry.h"
#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/session_state.h"
#include "daemon/commands/version.h"
#include "daemon/context.h"
#include "daemon/metrics.h"
#include "daemon/operations.h"
#include "daemon/watches.h"

namespace kvs::daemon {

using resp::ReplyWriter;

void select_database(Client& client, Database database) {
  client.database = database;
  client.shared->database.store(database, std::memory_order_relaxed);
}

void set_protocol(Client& client, resp::Version version) {
  client.version = version;
  client.shared->protocol.store(static_cast<unsigned>(version), std::memory_order_relaxed);
}

void set_durability(Client& client, Durability durability) {
  client.durability = durability;
  client.shared->durability.store(durability, std::memory_order_relaxed);
}

bool set_name(Client& client, std::string_view name, ReplyWriter& reply) {
  if (!is_printable_name(name)) {
    reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
  }
  std::scoped_lock lock(client.shared->mutex);
  client.shared->name = name;
  return true;
}

LogIn log_in(Context& context, std::string_view command, std::string_view user,
             std::string_view password) {
  Client& client = context.client;
  if (auto account = context.services.accounts.log_in(user, password)) {
    acl::become(client, std::move(account));
    client.authenticated = true;
    client.auth_failures = 0;
    return LogIn::ok;
  }
  ++client.auth_failures;
  // Rare, so that it does not matter that all connections share one block for it.
  context.services.metrics.worker(0).auth_failures.fetch_add(1, std::memory_order_relaxed);
  acl::note_failed_log_in(context.services, client, command, user,
                          context.in_transaction() ? "multi" : "toplevel");
  return LogIn::wrong;
}

void reply_wrong_password(ReplyWriter& reply) {
  reply.error("WRONGPASS invalid username-password pair or user is disabled.");
}

void leave_transaction(Client& client, Watches& watches) {
  client.in_transaction = false;
  client.transaction_broken = false;
  client.transaction.clear();
  client.transaction_bytes = 0;
  client.shared->queued.store(-1, std::memory_order_relaxed);
  drop_watches(client, watches);
}

void refuse_request(Client& client, Watches& watches, std::string_view name,
                    std::string_view error) {
  resp::ReplyWriter reply(client.output, client.version);
  if (!is_word(name, "EXEC")) {
    if (client.in_transaction) client.transaction_broken = true;
    return reply.error(error);
  }
  leave_transaction(client, watches);
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  reply.error(std::string("EXECABORT Transaction discarded because of: ").append(error));
}

namespace {

// PING [message]: PONG, or the message.
void ping_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 2) return reply_wrong_arguments(reply, "ping");
  if (reply.version() == resp::Version::resp2 && context.client.subscriptions.any()) {
    // What such a connection reads are arrays.
    reply.array(2);
    reply.bulk("pong");
    return reply.bulk(args.size() == 2 ? args[1] : std::string_view());
  }
  if (args.size() == 2) return reply.bulk(args[1]);
  reply.simple("PONG");
}

void echo_command(Context&, Args args, ReplyWriter& reply) {
  reply.bulk(args[1]);
}

void quit_command(Context& context, Args, ReplyWriter& reply) {
  context.client.close_after_reply = true;
  reply.ok();
}

// RESET: the connection is as new.
void reset_command(Context& context, Args, ReplyWriter& reply) {
  Client& client = context.client;
  leave_transaction(context.client, context.services.watches);
  drop_subscriptions(client, context.services.pubsub);
  Operations& operations = context.services.operations;
  stop_tracking(client, operations.tracking);
  if (client.shared->has(ClientShared::monitor_flag)) operations.monitors.remove(*client.mailbox);
  // What stays is as in Redis.
  client.shared->clear(~(ClientShared::no_evict_flag | ClientShared::unix_socket_flag));
  client.replies = Client::Replies::on;
  set_durability(client, Durability::unsaid);
  select_database(client, 0);
  set_protocol(client, resp::Version::resp2);
  acl::become(client, context.services.accounts.default_account());
  client.authenticated = context.services.accounts.default_is_open();
  set_name(client, "", reply);
  reply.simple("RESET");
}

void select_command(Context& context, Args args, ReplyWriter& reply) {
  const auto database = database_argument(args[1], reply);
  if (!database) return;
  select_database(context.client, *database);
  reply.ok();
}

// AUTH [username] password.
void auth_command(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply.error(texts::syntax_error);
  if (args.size() == 2 && context.services.accounts.default_account()->user()->no_password) {
    return reply.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  const std::string_view user = args.size() == 3 ? args[1] : std::string_view("default");
  if (log_in(context, args[0], user, args.back()) == LogIn::wrong)
    return reply_wrong_password(reply);
  reply.ok();
}

void reply_hello(Context& context) {
  Client& client = context.client;
  ReplyWriter reply(client.output, client.version);
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(redis_version);
  reply.bulk("proto");
  reply.integer(static_cast<std::int64_t>(client.version));
  reply.bulk("id");
  reply.integer(static_cast<std::int64_t>(client.shared->id));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

// HELLO [protover [AUTH username password] [SETNAME clientname]].
void hello_command(Context& context, Args args, ReplyWriter& reply) {
  Client& client = context.client;
  resp::Version version = client.version;
  if (args.size() >= 2) {
    const auto number =
        integer_argument(args[1], reply, "ERR Protocol version is not an integer or out of range");
    if (!number) return;
    if (*number < 2 || *number > 3) {
      return reply.error("NOPROTO unsupported protocol version");
    }
    version = static_cast<resp::Version>(*number);
  }
  // Each option holds at once, whatever comes of those behind it.
  for (std::size_t i = 2; i < args.size(); ++i) {
    const std::size_t more = args.size() - 1 - i;
    if (is_word(args[i], "AUTH") && more >= 2) {
      if (log_in(context, args[0], args[i + 1], args[i + 2]) == LogIn::wrong) {
        return reply_wrong_password(reply);
      }
      i += 2;
    } else if (is_word(args[i], "SETNAME") && more >= 1) {
      if (!set_name(client, args[++i], reply)) return;
    } else {
      return reply.error("ERR Syntax error in HELLO option '" + as_printed(args[i]) + "'");
    }
  }
  if (!client.authenticated) {
    return reply.error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time");
  }
  set_protocol(client, version);
  reply_hello(context);
}

// READONLY and READWRITE speak of replicas of a cluster. Clients send them without being asked, so
// they are accepted; Redis outside a cluster would answer an error.
void cluster_mode_command(Context&, Args, ReplyWriter& reply) {
  reply.ok();
}

constexpr KeyRange no_keys{};
constexpr std::uint32_t anytime = loading | stale | fast | connection_family;
constexpr std::uint32_t handshake = anytime | no_script | no_auth | allow_busy;

constexpr std::array rows{
    Command{
        "auth",
        -2,
        handshake,
        no_keys,
        auth_command,
        {"Authenticates the connection.", "1.0.0", "connection", "O(1)", "[username] password"}},
    Command{"echo",
            2,
            anytime,
            no_keys,
            echo_command,
            {"Returns the given string.", "1.0.0", "connection", "O(1)", "message"}},
    Command{"hello",
            -1,
            handshake,
            no_keys,
            hello_command,
            {"Shakes hands: protocol version, authentication and name.", "6.0.0", "connection",
             "O(1)", "[protover [AUTH username password] [SETNAME clientname]]"}},
    Command{"ping",
            -1,
            fast | connection_family | while_subscribed,
            no_keys,
            ping_command,
            {"Returns PONG, or the given string.", "1.0.0", "connection", "O(1)", "[message]", "",
             "request_policy:all_shards response_policy:all_succeeded"}},
    Command{"quit",
            -1,
            handshake | not_queued | while_subscribed,
            no_keys,
            quit_command,
            {"Closes the connection.", "1.0.0", "connection", "O(1)", ""}},
    Command{"readonly",
            1,
            anytime,
            no_keys,
            cluster_mode_command,
            {"Accepted for clients of clusters; has no effect.", "3.0.0", "cluster", "O(1)", ""}},
    Command{"readwrite",
            1,
            anytime,
            no_keys,
            cluster_mode_command,
            {"Accepted for clients of clusters; has no effect.", "3.0.0", "cluster", "O(1)", ""}},
    Command{"reset",
            1,
            handshake | not_queued | while_subscribed,
            no_keys,
            reset_command,
            {"Brings the connection back to its first state.", "6.2.0", "connection", "O(1)", ""}},
    Command{"select",
            2,
            anytime,
            no_keys,
            select_command,
            {"Changes the database of the connection.", "1.0.0", "connection", "O(1)", "index"}},
};

}  // namespace

std::span<const Command> connection_commands() {
  return rows;
}

}  // namespace kvs::daemon

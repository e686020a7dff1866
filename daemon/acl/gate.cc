#include "daemon/acl/gate.h"

#include <array>
#include <string>
#include <utility>

#include "daemon/acl/check.h"
#include "daemon/client_registry.h"
#include "daemon/commands/client_handlers.h"
#include "daemon/commands/session_state.h"
#include "daemon/wall_clock.h"

namespace kvs::daemon::acl {

namespace {

std::string user_name_of(ClientShared& client) {
  std::scoped_lock lock(client.mutex);
  return client.user;
}

void note(Services& services, const Client& client, LogEntry entry) {
  entry.at = wall_clock_ms();
  entry.client_info = client_line(*client.shared, entry.at);
  while (entry.client_info.ends_with('\n')) entry.client_info.pop_back();
  services.accounts.log.add(std::move(entry));
}

void note_refusal(Services& services, const Client& client, const Command& command, Args args,
                  const Verdict& verdict, std::string_view context) {
  LogEntry entry;
  entry.context = context;
  entry.username = client.account->name();
  entry.reason = verdict.reason == Reason::command ? "command"
                 : verdict.reason == Reason::key   ? "key"
                                                   : "channel";
  entry.object = verdict.reason == Reason::command ? command.name : args[verdict.word];
  note(services, client, std::move(entry));
}

std::string refusal(const Command& command, Reason reason) {
  const std::string begin = "NOPERM this user has no permissions to ";
  switch (reason) {
    case Reason::key:
      return begin + "access one of the keys used as arguments";
    case Reason::channel:
      return begin + "access one of the channels used as arguments";
    case Reason::command:
    case Reason::none:
      break;
  }
  return begin + "run the '" + std::string(command.name) + "' command";
}

std::string refusal_in_exec(Reason reason) {
  const std::string begin =
      "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC "
      "call. This command is no longer allowed for the following reason: ";
  switch (reason) {
    case Reason::key:
      return begin + "no permission to touch the specified keys";
    case Reason::channel:
      return begin + "no permission to access one of the channels used as arguments to the command";
    case Reason::command:
    case Reason::none:
      break;
  }
  return begin + "no permission to execute the command or subcommand";
}

void close(Services& services, Client& self, std::uint64_t id) {
  if (id == self.shared->id) {
    self.close_after_reply = true;  // the reply is owed first
  } else {
    services.clients.kill(id);
  }
}

}  // namespace

const User& user_of(Client& client) {
  // The version first: if the user changes in between, the next call looks again.
  const std::uint64_t version = client.account->version();
  if (client.user == nullptr || client.user_version != version) {
    client.user = client.account->user();
    client.user_version = version;
  }
  return *client.user;
}

bool refuses_restricted(Services& services, Client& client, const Request& request) {
  if (request.command == nullptr) return false;
  const Command& command = *request.command;
  if (command.has(no_auth) || !client.authenticated) return false;
  if (client.in_transaction && command.has(no_multi)) return false;
  const Verdict verdict = check(user_of(client), command, request.args);
  if (verdict.allowed()) return false;
  client.shared->last_command.store(&command, std::memory_order_relaxed);
  note_refusal(services, client, command, request.args, verdict,
               client.in_transaction ? "multi" : "toplevel");
  refuse_request(client, services.watches, request.args[0], refusal(command, verdict.reason));
  return true;
}

bool refuses_queued(Services& services, Client& client, const Command& command, Args args) {
  if (client.account->unrestricted()) return false;
  const Verdict verdict = check(user_of(client), command, args);
  if (verdict.allowed()) return false;
  note_refusal(services, client, command, args, verdict, "multi");
  resp::ReplyWriter(client.output, client.version).error(refusal_in_exec(verdict.reason));
  return true;
}

bool refuses_in_script(Services& services, Client& client, const Command& command, Args args,
                       resp::ReplyWriter& reply) {
  if (client.account->unrestricted()) return false;
  const Verdict verdict = check(user_of(client), command, args);
  if (verdict.allowed()) return false;
  note_refusal(services, client, command, args, verdict, "lua");
  reply.error(verdict.reason == Reason::command
                  ? "ERR The user executing the script can't run this command or subcommand"
                  : "ERR The user executing the script can't access at least one of the keys "
                    "mentioned in the command arguments");
  return true;
}

void become(Client& client, AccountPtr account) {
  {
    std::scoped_lock lock(client.shared->mutex);
    client.shared->user = account->name();
  }
  client.account = std::move(account);
  client.user.reset();
  // Whoever deletes a user closes those who are it already; we may have become it a moment later.
  if (client.account->removed()) client.close_after_reply = true;
}

void note_failed_log_in(Services& services, const Client& client, std::string_view command,
                        std::string_view username, std::string_view context) {
  LogEntry entry;
  entry.reason = "auth";
  entry.context = context;
  entry.object = command;
  entry.username = username;
  note(services, client, std::move(entry));
}

void close_connections_of(Services& services, Client& self, std::string_view name) {
  for (const auto& client : services.clients.list()) {
    if (user_name_of(*client) == name) close(services, self, client->id);
  }
}

void close_lost_listeners(Services& services, Client& self, const Account& account) {
  const auto user = account.user();
  if (user->root.all_channels) return;
  std::vector<std::uint64_t> lost;
  for (const Subscription kind :
       {Subscription::channel, Subscription::pattern, Subscription::shard}) {
    const auto named =
        kind == Subscription::pattern ? ChannelNamed::as_pattern : ChannelNamed::itself;
    services.pubsub.visit(kind, [&](std::string_view channel, const Mailbox& mailbox) {
      if (!may_listen(*user, channel, named)) lost.push_back(mailbox.client().id);
    });
  }
  for (const std::uint64_t id : lost) {
    const auto client = services.clients.find(id);
    if (client != nullptr && user_name_of(*client) == account.name()) close(services, self, id);
  }
}

}  // namespace kvs::daemon::acl

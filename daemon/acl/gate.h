// gate.h - the executor's questions to the ACLs: may this client run this? Thread: the one that
// runs the client's requests.
#pragma once

#include <optional>
#include <string_view>

#include "daemon/acl/accounts.h"
#include "daemon/client.h"
#include "daemon/context.h"
#include "daemon/executor.h"

namespace kvs::daemon::acl {

// What the client's user may do now. Lives until the next call for the same client.
const User& user_of(Client& client);

bool refuses_restricted(Services& services, Client& client, const Request& request);

// True when the client's user may not run `request`: it has been answered then, logged, and the
// transaction that it belongs to is broken. What is refused for other reasons before (unknown, not
// authenticated) is left to them.
inline bool refuses(Services& services, Client& client, const Request& request) {
  return !client.account->unrestricted() && refuses_restricted(services, client, request);
}

// The same for one command of a transaction that EXEC runs: rights may have gone since it was
// queued. Answers an error for that command only.
bool refuses_queued(Services& services, Client& client, const Command& command, Args args);

// The same for a command that a script of the client's would run.
bool refuses_in_script(Services& services, Client& client, const Command& command, Args args,
                       resp::ReplyWriter& reply);

// Makes `account` the client's user.
void become(Client& client, AccountPtr account);

// Notes a refused AUTH or HELLO; `command` as it was written, `context` "toplevel" or "multi".
void note_failed_log_in(Services& services, const Client& client, std::string_view command,
                        std::string_view username, std::string_view context);

// Closes connections of users who are gone, and of those who listen to what `name` may not hear any
// more. `self` is closed when its reply is sent.
void close_connections_of(Services& services, Client& self, std::string_view name);
void close_lost_listeners(Services& services, Client& self, const Account& account);

}  // namespace kvs::daemon::acl

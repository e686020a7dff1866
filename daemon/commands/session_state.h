// session_state.h - changes of a client's own state that several commands make. Each keeps
// ClientShared, which other threads read, in step.
#pragma once

#include <string_view>

#include "daemon/context.h"
#include "protocol/resp/reply_writer.h"

namespace kvs::daemon {

void select_database(Client& client, Database database);
void set_durability(Client& client, Durability durability);
void set_protocol(Client& client, resp::Version version);

// Sets the connection's name, or answers why it cannot be and returns false.
bool set_name(Client& client, std::string_view name, resp::ReplyWriter& reply);

enum class LogIn : std::uint8_t { ok, wrong };
// Checks user and password; on success the client is that user.
// `command` is the word that asked for it.
LogIn log_in(Context& context, std::string_view command, std::string_view user,
             std::string_view password);
void reply_wrong_password(resp::ReplyWriter& reply);

// Leaves MULTI, with its queue and its watches.
void leave_transaction(Client& client, Watches& watches);

// Answers `error` to a request that is not to run, `name` being its first word. Inside MULTI that
// breaks the transaction; EXEC itself ends it, and says so.
void refuse_request(Client& client, Watches& watches, std::string_view name,
                    std::string_view error);

}  // namespace kvs::daemon

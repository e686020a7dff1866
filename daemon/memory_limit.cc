#include "daemon/memory_limit.h"

#include <algorithm>

#include "daemon/commands/session_state.h"
#include "daemon/metrics.h"
#include "daemon/settings.h"

namespace kvs::daemon {

namespace {

bool is_exec(const Command& command) {
  return command.name == "exec";
}

// Could it make memory grow? Inside MULTI whatever is queued does.
bool may_grow(const Client& client, const Command& command) {
  if (!client.in_transaction) return command.has(deny_oom);
  if (!is_exec(command)) return !command.has(not_queued);
  return std::any_of(client.transaction.begin(), client.transaction.end(),
                     [](const StoredRequest& queued) { return queued.command->has(deny_oom); });
}

}  // namespace

std::uint64_t counted_memory_bytes(const Services& services) {
  return services.engine.memory_bytes() +
         services.metrics.client_buffer_bytes.load(std::memory_order_relaxed);
}

bool MemoryLimit::refuses(Client& client, const Request& request) {
  if (services_.settings.maxmemory.load(std::memory_order_relaxed) == 0) return false;
  if (request.command == nullptr) return false;
  const Command& command = *request.command;
  if (!client.authenticated && !command.has(no_auth)) return false;  // refused for that
  if (!may_grow(client, command) || !exceeded()) return false;
  resp::ReplyWriter reply(client.output, client.version);
  if (client.in_transaction && is_exec(command)) {
    const bool was_broken = client.transaction_broken;
    leave_transaction(client, services_.watches);
    reply.error(was_broken
                    ? std::string("EXECABORT Transaction discarded because of previous errors.")
                    : std::string("EXECABORT Transaction discarded because of: ") + refusal);
    return true;
  }
  if (client.in_transaction) client.transaction_broken = true;
  reply.error(refusal);
  return true;
}

bool MemoryLimit::exceeded() {
  if (!exceeded_) {
    const std::uint64_t limit = services_.settings.maxmemory.load(std::memory_order_relaxed);
    exceeded_ = limit != 0 && counted_memory_bytes(services_) > limit;
  }
  return *exceeded_;
}

}  // namespace kvs::daemon

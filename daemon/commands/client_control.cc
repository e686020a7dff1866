// client_control.cc - CLIENT DURABILITY, PAUSE, UNPAUSE, REPLY, UNBLOCK, NO-EVICT and NO-TOUCH.
#include "daemon/commands/arguments.h"
#include "daemon/commands/client_handlers.h"
#include "daemon/commands/session_state.h"
#include "daemon/operations.h"
#include "daemon/settings.h"

namespace kvs::daemon {

using resp::ReplyWriter;

// CLIENT PAUSE milliseconds [WRITE | ALL]: commands wait. What is being executed still finishes.
void client_pause(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 4) return reply_wrong_subcommand(reply, args);
  ClientPause::Kind kind = ClientPause::Kind::all;
  if (args.size() == 4 && is_word(args[3], "WRITE")) {
    kind = ClientPause::Kind::writes;
  } else if (args.size() == 4 && !is_word(args[3], "ALL")) {
    return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
  }
  const auto timeout =
      integer_argument(args[2], reply, "ERR timeout is not an integer or out of range");
  if (!timeout) return;
  if (*timeout < 0) return reply.error("ERR timeout is negative");
  UnixMs until = 0;
  if (__builtin_add_overflow(context.now(), *timeout, &until)) {
    return reply.error("ERR timeout is out of range");
  }
  context.services.operations.pause.begin(kind, until, context.now());
  reply.ok();
}

void client_unpause(Context& context, Args, ReplyWriter& reply) {
  context.services.operations.pause.end();
  reply.ok();
}

// CLIENT REPLY ON | OFF | SKIP. The executor drops the replies; only ON's is read.
void client_reply(Context& context, Args args, ReplyWriter& reply) {
  using Replies = Client::Replies;
  Client& client = context.client;
  if (is_word(args[2], "ON")) {
    client.replies = Replies::on;
    return reply.ok();
  }
  if (is_word(args[2], "OFF")) {
    client.replies = Replies::off;
  } else if (!is_word(args[2], "SKIP")) {
    reply.error(texts::syntax_error);
  } else if (client.replies != Replies::off) {
    client.replies = Replies::skip_next;
  }
}

// CLIENT DURABILITY: the level that is in force where no prefix rule says more.
// CLIENT DURABILITY KERNEL | SYNC | DEFAULT: asks for one, or leaves it to the server's policy.
void client_durability(Context& context, Args args, ReplyWriter& reply) {
  Client& client = context.client;
  if (args.size() > 3) return reply_wrong_arguments(reply, "client|durability");
  if (args.size() == 2) {
    return reply.bulk(to_string(context.services.settings.or_policy(client.durability)));
  }
  const auto level = parse_durability(args[2]);
  if (!level && !is_word(args[2], "DEFAULT")) return reply.error(texts::syntax_error);
  set_durability(client, level.value_or(Durability::unsaid));
  reply.ok();
}

// CLIENT UNBLOCK id [TIMEOUT | ERROR]: no command waits for other clients here, so nobody is.
void client_unblock(Context&, Args args, ReplyWriter& reply) {
  if (args.size() > 4) return reply_wrong_subcommand(reply, args);
  if (args.size() == 4 && !is_word(args[3], "TIMEOUT") && !is_word(args[3], "ERROR")) {
    return reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  if (!integer_argument(args[2], reply)) return;
  reply.integer(0);
}

namespace {

// Nothing is evicted and no access times are kept: the flag is shown, and that is all.
void switch_flag(Context& context, Args args, unsigned flag, ReplyWriter& reply) {
  if (is_word(args[2], "ON")) {
    context.client.shared->set(flag);
  } else if (is_word(args[2], "OFF")) {
    context.client.shared->clear(flag);
  } else {
    return reply.error(texts::syntax_error);
  }
  reply.ok();
}

}  // namespace

void client_no_evict(Context& context, Args args, ReplyWriter& reply) {
  switch_flag(context, args, ClientShared::no_evict_flag, reply);
}

void client_no_touch(Context& context, Args args, ReplyWriter& reply) {
  switch_flag(context, args, ClientShared::no_touch_flag, reply);
}

}  // namespace kvs::daemon

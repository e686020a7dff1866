// client_handlers.h - the handlers of clients.cc's rows that live in files of their own.
#pragma once

#include "daemon/context.h"

namespace kvs::daemon {

// The client as a line of CLIENT LIST, with its line end. Any thread.
std::string client_line(ClientShared& client, UnixMs now);

// client_caching.cc
void client_tracking(Context& context, Args args, resp::ReplyWriter& reply);
void client_caching(Context& context, Args args, resp::ReplyWriter& reply);
void client_getredir(Context& context, Args args, resp::ReplyWriter& reply);
void client_trackinginfo(Context& context, Args args, resp::ReplyWriter& reply);

// client_control.cc
void client_pause(Context& context, Args args, resp::ReplyWriter& reply);
void client_unpause(Context& context, Args args, resp::ReplyWriter& reply);
void client_reply(Context& context, Args args, resp::ReplyWriter& reply);
void client_unblock(Context& context, Args args, resp::ReplyWriter& reply);
void client_no_evict(Context& context, Args args, resp::ReplyWriter& reply);
void client_durability(Context& context, Args args, resp::ReplyWriter& reply);
void client_no_touch(Context& context, Args args, resp::ReplyWriter& reply);

}  // namespace kvs::daemon

// server_handlers.h - the handlers of server.cc's rows that live in files of their own.
#pragma once

#include "daemon/context.h"

namespace kvs::daemon {

void info_command(Context& context, Args args, resp::ReplyWriter& reply);  // info.cc

void config_get(Context& context, Args args, resp::ReplyWriter& reply);  // parameters.cc
void config_set(Context& context, Args args, resp::ReplyWriter& reply);
void config_rewrite(Context& context, Args args, resp::ReplyWriter& reply);  // config_rewrite.cc

}  // namespace kvs::daemon

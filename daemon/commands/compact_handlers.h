// compact_handlers.h - the handler of KVS COMPACT (compact.cc).
#pragma once

#include "daemon/context.h"

namespace kvs::daemon {

void kvs_compact_command(Context& context, Args args, resp::ReplyWriter& reply);

}  // namespace kvs::daemon

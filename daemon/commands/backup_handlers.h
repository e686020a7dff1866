// backup_handlers.h - handlers of KVS BACKUP and KVS SCRUB (backup.cc), whose rows are in kvs.cc.
#pragma once

#include "daemon/context.h"

namespace kvs::daemon {

void kvs_backup_command(Context& context, Args args, resp::ReplyWriter& reply);
void kvs_scrub_command(Context& context, Args args, resp::ReplyWriter& reply);

}  // namespace kvs::daemon

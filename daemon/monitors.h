// monitors.h - the connections that watch every command (MONITOR). Thread: any.
//
// A line goes into the mailboxes of all of them, whatever loops they live on, bounded as messages
// are: who does not read is closed. Nobody watching costs one relaxed load per command.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/mailbox.h"

namespace kvs::daemon {

struct Client;

class Monitors {
 public:
  void add(std::shared_ptr<Mailbox> mailbox);
  void remove(const Mailbox& mailbox);
  bool anyone() const noexcept { return count_.load(std::memory_order_relaxed) != 0; }

  // Shows a command that has run. Administrative ones are not shown, and passwords never.
  void show(const Client& client, const Command& command, Args args, std::size_t bytes_max);

 private:
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Mailbox>> mailboxes_;  // guarded by mutex_
};

// `text` in double quotes, with everything that is not printable ASCII escaped.
std::string quoted_text(std::string_view text);

}  // namespace kvs::daemon

#include "daemon/monitors.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "daemon/client.h"
#include "daemon/redaction.h"

namespace kvs::daemon {

namespace {

std::string line_of(const Client& client, const Command& command, Args args) {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  std::array<char, 64> stamp;
  std::snprintf(stamp.data(), stamp.size(), "+%lld.%06lld", static_cast<long long>(now / 1'000'000),
                static_cast<long long>(now % 1'000'000));
  std::string line = stamp.data();
  line += " [" + std::to_string(client.database) + " " + client.shared->address + "]";
  const Redaction redaction(command, args);
  for (std::size_t i = 0; i < args.size(); ++i) line += " " + quoted_text(redaction.shown(i));
  return line += "\r\n";
}

}  // namespace

void Monitors::add(std::shared_ptr<Mailbox> mailbox) {
  std::scoped_lock lock(mutex_);
  mailboxes_.push_back(std::move(mailbox));
  count_.store(mailboxes_.size(), std::memory_order_relaxed);
}

void Monitors::remove(const Mailbox& mailbox) {
  std::scoped_lock lock(mutex_);
  std::erase_if(mailboxes_, [&](const auto& each) { return each.get() == &mailbox; });
  count_.store(mailboxes_.size(), std::memory_order_relaxed);
}

void Monitors::show(const Client& client, const Command& command, Args args,
                    std::size_t bytes_max) {
  if (command.has(admin)) return;
  const std::string line = line_of(client, command, args);
  std::scoped_lock lock(mutex_);
  for (const auto& mailbox : mailboxes_) mailbox->put(line, bytes_max);
}

std::string quoted_text(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    switch (character) {
      case '\\':
      case '"':
        (result += '\\') += character;
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\a':
        result += "\\a";
        break;
      case '\b':
        result += "\\b";
        break;
      default:
        if (byte >= 0x20 && byte < 0x7f) {
          result += character;
        } else {
          ((result += "\\x") += digits[byte >> 4]) += digits[byte & 15];
        }
    }
  }
  return result += '"';
}

}  // namespace kvs::daemon

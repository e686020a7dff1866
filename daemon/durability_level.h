// durability_level.h - how safe a reply must be before it leaves, as connections, commands and the
// config ask for it.
//
// Three may ask: the connection (CLIENT DURABILITY), the command (an option of SET), and the config
// by the prefix of each key. The strongest of what was asked for holds, per key that a command
// looks at or changes; where nobody has asked, the sync policy of the server. So nobody weakens
// what another has asked for, and who asks for less than the policy waits less, alone: others still
// see of his writes only what they may see.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/async/result.h"

namespace kvs::daemon {

// In the order of strength.
enum class Durability : std::uint8_t {
  unsaid,  // nobody has asked: the policy holds
  kernel,  // the kernel has it: survives SIGKILL of the server
  sync,    // it was synced to the disk: survives a power cut
};

// "default", "kernel", "sync".
std::string_view to_string(Durability durability);

// "kernel" or "sync" in any case; nullopt for anything else.
std::optional<Durability> parse_durability(std::string_view text);

// Which level keys have by their prefix. The longest prefix that a key starts with decides; the
// empty one is every key's.
class PrefixRules {
 public:
  // "PREFIX LEVEL" once or many times, quoted as in redis.conf where that is needed; the last one
  // for a prefix wins. Errors: invalid, with what was expected.
  static Result<PrefixRules> parse(std::string_view text);

  // As parse takes it, by prefix.
  std::string text() const;

  bool empty() const noexcept { return levels_.empty(); }
  Durability of(std::string_view key) const;
  Durability strongest() const noexcept { return strongest_; }

 private:
  std::map<std::string, Durability, std::less<>> levels_;
  Durability strongest_ = Durability::unsaid;
};

}  // namespace kvs::daemon

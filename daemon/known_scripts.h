// known_scripts.h - the scripts that kvs knows by their SHA-1 and does itself, since it runs no
// Lua.
//
// Libraries for locks and the like send fixed texts, so that the digest of one says exactly what it
// does; how it does it is in commands/scripts.cc. A digest stands here with the library that it
// comes from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvs::daemon {

enum class Script : std::uint8_t {
  release,              // DEL the key if it has the value; the reply of DEL, or 0
  renew,                // PEXPIRE the key if it has the value; the reply of PEXPIRE, or 0
  extend_by,            // the same, to a time or by a time, if the key has a deadline; 1 or 0
  remaining,            // PTTL of the key if it has the value, else -3
  set_once,             // SET key value NX PX milliseconds
  set_own,              // SET key value PX milliseconds if it has the value already, or is absent
                        // and may be new
  value_and_remaining,  // GET and PTTL
  acquire_all,          // SET all keys with PX if none is present; how many
  extend_all,           // SET all keys with PX if all have the value; how many
  release_all,          // DEL the keys that have the value; how many
  increment,            // INCRBY
  increment_present,    // INCRBY if the key is present, else nil
  count_in_window,      // INCRBY of a key that lives for some seconds; its value and its PTTL
};

struct KnownScript {
  std::string_view digest;
  Script script;
  // The lines of its text, from 1, with its first call and with the last that it changes something
  // with: errors name them.
  int first_line;
  int last_line;
};

// The script whose SHA-1 is `digest` (40 hexadecimal digits in any case); null when there is none.
const KnownScript* find_script(std::string_view digest);

// SHA-1 of `text`, in lower case: what Redis calls a script by.
std::string script_digest(std::string_view text);

}  // namespace kvs::daemon

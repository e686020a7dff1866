// result.h - how every library of kvs reports failure: as a value.
//
// `Result<T>` is either a T or an `Error`. Absence of a key is not a failure and is never an Error.
// No exception crosses the border of a library; what can throw inside (memory) ends the process.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kvs {

// What kind of failure it was, for code that decides; `Error::message` is for people.
enum class Code : std::uint8_t {
  invalid,          // the caller's argument is wrong
  io,               // the operating system reported an error
  no_space,         // the disk (or a quota) is full; may pass
  corrupt,          // stored bytes fail their checksum or their rules
  busy,             // somebody else holds it: directory lock, address in use
  wrong_engine,     // the directory belongs to another engine
  read_only,        // the engine refuses writes until it is reopened
  would_block,      // asked not to wait, and the answer is not in memory
  too_large,        // beyond one of the limits
  not_found,        // of operations that require presence (client and library `remove`)
  unreachable,      // no connection could be made
  connection_lost,  // an established connection ended
  timeout,
  protocol,  // the peer sent what is not RESP
  server,    // the server answered an error reply; message is its text
  cancelled,
  exception,  // a function that the caller passed in threw; message is what()
};

// Returns the name of `code`, as written in the enum.
std::string_view to_string(Code code) noexcept;

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  Code code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  bool operator==(const Error&) const = default;

 private:
  Code code_;
  std::string message_;
};

template <class T>
using Result = std::expected<T, Error>;

// Is T a Result<something>?
template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<std::expected<T, Error>> = true;

// `return fail(Code::corrupt, "...")` from any function that returns a Result.
inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected<Error>(Error(code, std::move(message)));
}

inline std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::invalid:
      return "invalid";
    case Code::io:
      return "io";
    case Code::no_space:
      return "no_space";
    case Code::corrupt:
      return "corrupt";
    case Code::busy:
      return "busy";
    case Code::wrong_engine:
      return "wrong_engine";
    case Code::read_only:
      return "read_only";
    case Code::would_block:
      return "would_block";
    case Code::too_large:
      return "too_large";
    case Code::not_found:
      return "not_found";
    case Code::unreachable:
      return "unreachable";
    case Code::connection_lost:
      return "connection_lost";
    case Code::timeout:
      return "timeout";
    case Code::protocol:
      return "protocol";
    case Code::server:
      return "server";
    case Code::cancelled:
      return "cancelled";
    case Code::exception:
      return "exception";
  }
  return "unknown";
}

}  // namespace kvs

// commands.h - the commands that the library knows by name: how each is said, what its reply means.
//
// Each is a small value: `encode` appends the request, `decode` turns a reply that is no error into
// the command's value. client.h gives them the four forms. They refer to their words and own none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/client/reply.h"

namespace kvs::client {

struct SetOptions {
  enum class When : std::uint8_t { always, absent, present };
  enum class Expiry : std::uint8_t { clear, keep };

  When when = When::always;
  std::optional<std::chrono::milliseconds> expire_after;  // none: what `expiry` says
  Expiry expiry = Expiry::clear;                          // keep: the key's deadline stays
};

struct ScanOptions {
  std::string_view match;                   // a glob; empty: every key
  std::optional<std::uint64_t> count_hint;  // keys per page, roughly
};

// A part of all keys. The walk is over when `cursor` is 0.
struct ScanPage {
  std::uint64_t cursor = 0;
  std::vector<std::string> keys;
};

using KeyValue = std::pair<std::string_view, std::string_view>;

namespace commands {

struct Get {
  using Value = std::optional<std::string>;
  std::string_view key;
  void encode(std::string& output) const;
  static Result<Value> decode(Reply reply);
};

struct Set {
  using Value = bool;
  std::string_view key;
  std::string_view value;
  SetOptions options;
  void encode(std::string& output) const;
  static Result<Value> decode(Reply reply);
};

struct GetAndSet {
  using Value = std::optional<std::string>;
  std::string_view key;
  std::string_view value;
  SetOptions options;
  void encode(std::string& output) const;
  static Result<Value> decode(Reply reply);
};

struct Remove {
  using Value = void;
  std::string_view key;
  void encode(std::string& output) const;
  static Result<Value> decode(const Reply& reply);
};

struct Exists {
  using Value = bool;
  std::string_view key;
  void encode(std::string& output) const;
  static Result<Value> decode(const Reply& reply);
};

struct Expire {
  using Value = bool;
  std::string_view key;
  std::chrono::milliseconds after;
  void encode(std::string& output) const;
  static Result<Value> decode(const Reply& reply);
};

struct TimeToLive {
  using Value = std::optional<std::chrono::milliseconds>;
  std::string_view key;
  void encode(std::string& output) const;
  static Result<Value> decode(const Reply& reply);
};

struct Increment {
  using Value = std::int64_t;
  std::string_view key;
  std::int64_t by;
  void encode(std::string& output) const;
  static Result<Value> decode(const Reply& reply);
};

struct GetMany {
  using Value = std::vector<std::optional<std::string>>;
  std::span<const std::string_view> keys;
  Result<void> check() const;
  void encode(std::string& output) const;
  static Result<Value> decode(Reply reply);
};

struct SetMany {
  using Value = void;
  std::span<const KeyValue> pairs;
  Result<void> check() const;
  void encode(std::string& output) const;
  static Result<Value> decode(const Reply& reply);
};

struct Scan {
  using Value = ScanPage;
  std::uint64_t cursor;
  ScanOptions options;
  void encode(std::string& output) const;
  static Result<Value> decode(Reply reply);
};

struct Any {
  using Value = Reply;
  std::span<const std::string_view> words;
  Result<void> check() const;
  void encode(std::string& output) const;
  static Result<Value> decode(Reply reply) { return reply; }
};

// A command whose words need not live any longer, or the reason why it is none.
template <class Command>
struct Encoded {
  using Value = typename Command::Value;
  Result<std::string> request;

  explicit Encoded(const Command& command) : request(std::string()) {
    if constexpr (requires { command.check(); }) {
      if (Result<void> checked = command.check(); !checked) {
        request = std::unexpected(std::move(checked).error());
        return;
      }
    }
    command.encode(*request);
  }
  Result<void> check() const {
    if (!request) return std::unexpected(request.error());
    return {};
  }
  void encode(std::string& output) const { output.append(*request); }
  static Result<Value> decode(Reply reply) { return Command::decode(std::move(reply)); }
};

}  // namespace commands
}  // namespace kvs::client

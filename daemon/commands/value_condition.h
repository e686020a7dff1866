// value_condition.h - conditions on the value that a key has: IFEQ, IFNE, IFDEQ and IFDNE of SET
// and DELEX, as in Redis 8.4.
//
// A digest is XXH3 (64 bits, seed 0) in 16 hexadecimal digits, so that it can be computed by
// whoever has the value. It is no safeguard against somebody who wants two values to have the same
// one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/resp/reply_writer.h"

namespace kvs::daemon {

struct ValueCondition {
  enum class Kind : std::uint8_t { equal, not_equal, digest_equal, digest_not_equal };
  Kind kind = Kind::equal;
  std::string_view operand;  // a value or a digest; lives as long as the request
};

// Which one `word` names, in any case.
std::optional<ValueCondition::Kind> condition_kind(std::string_view word) noexcept;

// Answers an error and returns false when the operand should be a digest and is none. As in Redis
// its length decides, and nobody asks while the key is absent.
bool is_valid(const ValueCondition& condition, resp::ReplyWriter& reply);

bool holds(const ValueCondition& condition, std::string_view value);
// What is absent differs from everything.
bool holds_for_absent(const ValueCondition& condition) noexcept;

// 16 lower case digits.
std::string value_digest(std::string_view value);

}  // namespace kvs::daemon

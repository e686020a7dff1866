#include "daemon/commands/value_condition.h"

#include <array>
#include <xxhash.h>

#include <fmt/format.h>

#include "daemon/commands/arguments.h"

namespace kvs::daemon {

namespace {

using Kind = ValueCondition::Kind;

constexpr std::size_t digest_digits = 16;

bool about_digest(Kind kind) noexcept {
  return kind == Kind::digest_equal || kind == Kind::digest_not_equal;
}

}  // namespace

std::optional<Kind> condition_kind(std::string_view word) noexcept {
  struct Form {
    std::string_view word;
    Kind kind;
  };
  constexpr std::array<Form, 4> forms = {{{"IFEQ", Kind::equal},
                                          {"IFNE", Kind::not_equal},
                                          {"IFDEQ", Kind::digest_equal},
                                          {"IFDNE", Kind::digest_not_equal}}};
  for (const Form& form : forms) {
    if (is_word(word, form.word)) return form.kind;
  }
  return std::nullopt;
}

bool is_valid(const ValueCondition& condition, resp::ReplyWriter& reply) {
  if (!about_digest(condition.kind) || condition.operand.size() == digest_digits) return true;
  reply.error("ERR must be exactly 16 hexadecimal characters");
  return false;
}

bool holds(const ValueCondition& condition, std::string_view value) {
  const bool equal = about_digest(condition.kind)
                         ? lower_case(condition.operand) == value_digest(value)
                         : condition.operand == value;
  return equal == (condition.kind == Kind::equal || condition.kind == Kind::digest_equal);
}

bool holds_for_absent(const ValueCondition& condition) noexcept {
  return condition.kind == Kind::not_equal || condition.kind == Kind::digest_not_equal;
}

std::string value_digest(std::string_view value) {
  return fmt::format("{:016x}", XXH3_64bits(value.data(), value.size()));
}

}  // namespace kvs::daemon

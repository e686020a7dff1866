// request_parser.cc - two grammars: arrays of bulks, which clients send, and lines, which people
// type.
//
// A request that is complete in the buffer is parsed in one pass that touches only its header bytes
// and the two bytes after each bulk. One that is not leaves its phase and offsets behind, so that
// the next call goes on where this one stopped.
//
// Lines are ended in one place each: read_length for "*3\r\n" and "$16\r\n", parse_inline for the
// rest. All limits are counted from the first byte of the line, never from what one read brought,
// so that every way of cutting the input gives the same answer.
#include "protocol/resp/request_parser.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <system_error>

namespace kvs::resp {

namespace {

// What one large request left behind is given back when the next one begins; below this a
// connection keeps its vectors, so that ordinary requests allocate nothing.
constexpr std::size_t kept_words_max = 1024;
constexpr std::size_t kept_unquoted_bytes_max = 4096;

// More digits than this are left to the careful path, which checks for overflow.
constexpr std::ptrdiff_t fast_digits_max = 10;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What Redis skips before a word ...
constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// ... and what ends one.
constexpr bool ends_word(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// -1: not a hexadecimal digit.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr char unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Exactly what a number prints as: no sign but '-', no leading zeros, no "-0".
bool parse_canonical(std::string_view digits, std::int64_t& value) {
  const std::string_view magnitude = digits.starts_with('-') ? digits.substr(1) : digits;
  if (magnitude.empty() || !is_digit(magnitude.front())) return false;
  if (magnitude.front() == '0' && digits.size() > 1) return false;
  const char* const end = digits.data() + digits.size();
  const auto [stopped_at, failure] = std::from_chars(digits.data(), end, value);
  return failure == std::errc{} && stopped_at == end;
}

std::string_view view_at_offset(std::size_t offset, std::size_t size) {
  return {std::bit_cast<const char*>(offset), size};
}

}  // namespace

RequestParser::Outcome RequestParser::parse(std::string_view bytes) {
  switch (phase_) {
    case Phase::start:
      if (bytes.empty()) return incomplete();
      begin_request();
      if (bytes.front() == '*') {
        phase_ = Phase::array_header;
        return parse_array(bytes);
      }
      phase_ = Phase::inline_line;
      return parse_inline(bytes);
    case Phase::inline_line:
      return parse_inline(bytes);
    case Phase::failed:
      return {Status::error, 0};
    default:
      return parse_array(bytes);
  }
}

std::size_t RequestParser::bytes_needed() const noexcept {
  return phase_ == Phase::bulk_body ? position_ + bulk_bytes_ + 2 : 0;
}

void RequestParser::begin_request() {
  args_.clear();
  if (args_.capacity() > kept_words_max) args_.shrink_to_fit();
  unquoted_.clear();
  if (unquoted_.capacity() > kept_unquoted_bytes_max) unquoted_.shrink_to_fit();
  words_are_offsets_ = false;
  position_ = 0;
  scanned_ = 0;
}

RequestParser::Outcome RequestParser::incomplete() {
  return {Status::incomplete, 0};
}

// Incomplete in the middle of an array: from here on the caller's bytes may move.
RequestParser::Outcome RequestParser::park(std::string_view bytes) {
  if (!words_are_offsets_) {
    for (std::string_view& word : args_) {
      word = view_at_offset(static_cast<std::size_t>(word.data() - bytes.data()), word.size());
    }
    words_are_offsets_ = true;
  }
  return incomplete();
}

RequestParser::Outcome RequestParser::finish(Status status, std::size_t consumed) {
  phase_ = Phase::start;
  return {status, consumed};
}

RequestParser::Outcome RequestParser::fail(std::string_view text) {
  error_.assign("ERR Protocol error: ").append(text);
  args_.clear();
  args_.shrink_to_fit();
  phase_ = Phase::failed;
  return {Status::error, 0};
}

void RequestParser::add_word(std::string_view bytes, std::size_t offset, std::size_t size) {
  args_.push_back(words_are_offsets_ ? view_at_offset(offset, size) : bytes.substr(offset, size));
}

// Reads the number of the header line at position_; on success position_ is behind its CRLF.
RequestParser::Length RequestParser::read_length(std::string_view bytes, std::int64_t& value) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* const digits = begin + position_ + 1;

  if (scanned_ <= position_) {  // nothing known of this line: most often it is all there
    const char* at = digits;
    std::int64_t number = 0;
    while (at < end && at - digits < fast_digits_max && is_digit(*at)) {
      number = number * 10 + (*at++ - '0');
    }
    const bool canonical = at != digits && (*digits != '0' || at == digits + 1);
    if (canonical && end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
      value = number;
      position_ = static_cast<std::size_t>(at + 2 - begin);
      return Length::read;
    }
    scanned_ = position_;
  }

  const std::size_t line_end_max = position_ + limits_.inline_bytes_max;
  const std::size_t stop = std::min(bytes.size(), line_end_max + 1);
  while (scanned_ < stop && begin[scanned_] != '\r' && begin[scanned_] != '\n') ++scanned_;
  if (scanned_ == stop) return stop > line_end_max ? Length::too_long : Length::incomplete;
  if (begin[scanned_] == '\n') return Length::invalid;
  if (scanned_ + 1 == bytes.size()) return Length::incomplete;
  if (begin[scanned_ + 1] != '\n') return Length::invalid;
  if (!parse_canonical(bytes.substr(position_ + 1, scanned_ - position_ - 1), value)) {
    return Length::invalid;
  }
  position_ = scanned_ + 2;
  return Length::read;
}

RequestParser::Outcome RequestParser::parse_array(std::string_view bytes) {
  if (phase_ == Phase::array_header) {
    switch (read_length(bytes, remaining_)) {
      case Length::incomplete:
        return incomplete();
      case Length::too_long:
        return fail("too big mbulk count string");
      case Length::invalid:
        return fail("invalid multibulk length");
      case Length::read:
        break;
    }
    if (remaining_ > limits_.multibulk_elements_max) return fail("invalid multibulk length");
    if (!authenticated_ && remaining_ > limits_.unauthenticated_elements_max) {
      return fail("unauthenticated multibulk length");
    }
    if (remaining_ <= 0) return finish(Status::empty, position_);
    phase_ = Phase::bulk_header;
  }

  for (;;) {
    if (phase_ == Phase::bulk_header) {
      if (position_ == bytes.size()) return park(bytes);
      if (const char type = bytes[position_]; type != '$') {
        // Redis prints the byte as it is; a reply that is not plain text helps nobody.
        const char shown = type > ' ' && type <= '~' ? type : ' ';
        return fail(std::string("expected '$', got '") + shown + '\'');
      }
      std::int64_t size = 0;
      switch (read_length(bytes, size)) {
        case Length::incomplete:
          return park(bytes);
        case Length::too_long:
          return fail("too big bulk count string");
        case Length::invalid:
          return fail("invalid bulk length");
        case Length::read:
          break;
      }
      if (size < 0 || size > limits_.bulk_bytes_max) return fail("invalid bulk length");
      if (!authenticated_ && size > limits_.unauthenticated_bulk_bytes_max) {
        return fail("unauthenticated bulk length");
      }
      bulk_bytes_ = static_cast<std::size_t>(size);
      phase_ = Phase::bulk_body;
    }

    const std::size_t arrived = bytes.size() - position_;
    const char* const after = bytes.data() + position_ + bulk_bytes_;
    if (arrived > bulk_bytes_ && after[0] != '\r') return fail("expected CRLF after bulk");
    if (arrived < bulk_bytes_ + 2) return park(bytes);
    if (after[1] != '\n') return fail("expected CRLF after bulk");
    add_word(bytes, position_, bulk_bytes_);
    position_ += bulk_bytes_ + 2;
    phase_ = Phase::bulk_header;
    if (--remaining_ == 0) break;
  }

  if (words_are_offsets_) {
    for (std::string_view& word : args_) {
      word = bytes.substr(std::bit_cast<std::size_t>(word.data()), word.size());
    }
  }
  return finish(Status::complete, position_);
}

RequestParser::Outcome RequestParser::parse_inline(std::string_view bytes) {
  const std::size_t stop = std::min(bytes.size(), limits_.inline_bytes_max + 1);
  const void* const found =
      scanned_ < stop ? std::memchr(bytes.data() + scanned_, '\n', stop - scanned_) : nullptr;
  if (found == nullptr) {
    scanned_ = stop;
    return stop > limits_.inline_bytes_max ? fail("too big inline request") : incomplete();
  }
  const auto line_bytes = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
  // A CR before the LF needs no care: it ends a word as a space does.
  if (!split_inline(bytes.substr(0, line_bytes))) return fail("unbalanced quotes in request");
  return finish(args_.empty() ? Status::empty : Status::complete, line_bytes + 1);
}

// False: a quote is not closed, or its closing is not followed by a space.
bool RequestParser::split_inline(std::string_view line) {
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && is_space(line[at])) ++at;
    if (at == line.size()) return true;
    const std::size_t begin = at;
    while (at < line.size() && !ends_word(line[at]) && line[at] != '"' && line[at] != '\'') ++at;
    if (at == line.size() || ends_word(line[at])) {
      args_.push_back(line.substr(begin, at - begin));
      continue;
    }
    at = begin;
    if (!unquote_word(line, at)) return false;
  }
}

// A word with quotes somewhere in it, from `at` on; it is rebuilt in unquoted_. Quotes may open
// within a word, as in Redis: a"b" is the word ab.
bool RequestParser::unquote_word(std::string_view line, std::size_t& at) {
  // Unquoting only shrinks, so the views into this string stay valid while the line is split.
  if (unquoted_.empty()) unquoted_.reserve(line.size());
  const std::size_t begin = unquoted_.size();
  char quote = '\0';
  for (; at < line.size(); ++at) {
    const char c = line[at];
    const std::size_t left = line.size() - at;
    if (quote == '\0') {
      if (ends_word(c)) break;
      if (c == '"' || c == '\'') {
        quote = c;
      } else {
        unquoted_ += c;
      }
    } else if (c == quote) {
      if (left > 1 && !is_space(line[at + 1])) return false;
      quote = '\0';
      ++at;
      break;
    } else if (quote == '"' && c == '\\' && left > 3 && line[at + 1] == 'x' &&
               hex_value(line[at + 2]) >= 0 && hex_value(line[at + 3]) >= 0) {
      unquoted_ += static_cast<char>(hex_value(line[at + 2]) * 16 + hex_value(line[at + 3]));
      at += 3;
    } else if (quote == '"' && c == '\\' && left > 1) {
      unquoted_ += unescaped(line[++at]);
    } else if (quote == '\'' && c == '\\' && left > 1 && line[at + 1] == '\'') {
      unquoted_ += line[++at];
    } else {
      unquoted_ += c;
    }
  }
  if (quote != '\0') return false;
  args_.push_back(std::string_view(unquoted_).substr(begin));
  return true;
}

}  // namespace kvs::resp

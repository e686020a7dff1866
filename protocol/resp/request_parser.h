// request_parser.h - turns bytes into requests, incrementally and without copying.
//
// The bytes stay with the caller. `parse` is given everything from the first byte of the request
// that is being parsed; when it answers `incomplete` the caller calls again with the same bytes and
// more behind them, at the same address or another (the parser remembers offsets, so no byte is
// scanned twice and moving the buffer is free). Memory grows only as bytes arrive: announced
// lengths reserve nothing.
//
// Strict where Redis is not, so that what we read is what a proxy in front of us read:
//   - length lines are exactly a canonical decimal number and CRLF; an LF alone or a CR followed by
//     something else is an invalid length,
//   - a bulk must be followed by CRLF ("expected CRLF after bulk"; Redis skips two bytes unseen),
//   - NUL is a byte like any other (Redis waits for ever on a line with one),
//   - the answer depends on the bytes only, never on how they were cut: Redis lets an inline
//   request
//     longer than 64 KiB pass when it arrives in one read, here a line has a maximum.
// As Redis: inline requests may end in LF alone, which people with telnet and nc need.
// Not here: what the words mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::resp {

// Redis' own numbers (reliability.md S1-S8).
struct ParserLimits {
  std::size_t inline_bytes_max = 64 * 1024;
  std::int64_t multibulk_elements_max = 2147483647;
  std::int64_t bulk_bytes_max = std::int64_t{512} * 1024 * 1024;
  // While the client has not authenticated:
  std::int64_t unauthenticated_elements_max = 10;
  std::int64_t unauthenticated_bulk_bytes_max = 16384;
};

class RequestParser {
 public:
  enum class Status : std::uint8_t {
    complete,    // args() is one request; the next one begins `consumed` bytes on
    empty,       // `consumed` bytes meant nothing (blank line, *0): go on behind them
    incomplete,  // more bytes are needed; consumed is 0
    error,       // error() says why; the connection cannot go on
  };
  struct Outcome {
    Status status;
    std::size_t consumed = 0;
  };

  explicit RequestParser(ParserLimits limits = {}) noexcept : limits_(limits) {}

  // Limits are tighter until this is called with true (S7, S8). Initially authenticated.
  void set_authenticated(bool authenticated) noexcept { authenticated_ = authenticated; }
  void set_bulk_bytes_max(std::int64_t bytes) noexcept { limits_.bulk_bytes_max = bytes; }

  // Each call is given the request's bytes from its first one, and all that are there of what
  // follows it. After `error` every further call answers `error`.
  Outcome parse(std::string_view bytes);

  // The words of the request that the last parse() completed; at least one. They point into the
  // `bytes` of that call (words of an inline request with quotes: into the parser) and are valid
  // until the next call of parse.
  std::span<const std::string_view> args() const noexcept { return args_; }

  // The whole reply line without '-' and CRLF, e.g. "ERR Protocol error: invalid bulk length".
  const std::string& error() const noexcept { return error_; }

  // How many bytes from the start of the request will surely be needed (0: unknown), so that the
  // caller can size its buffer as bytes arrive.
  std::size_t bytes_needed() const noexcept;

  // Memory that the parser holds beside the caller's bytes, for the caller's accounts.
  std::size_t memory_bytes() const noexcept {
    return args_.capacity() * sizeof(std::string_view) + unquoted_.capacity();
  }

 private:
  enum class Phase : std::uint8_t {
    start,
    inline_line,
    array_header,
    bulk_header,
    bulk_body,
    failed
  };
  enum class Length : std::uint8_t { read, incomplete, too_long, invalid };

  void begin_request();
  Outcome parse_inline(std::string_view bytes);
  Outcome parse_array(std::string_view bytes);
  Length read_length(std::string_view bytes, std::int64_t& value);
  bool split_inline(std::string_view line);
  bool unquote_word(std::string_view line, std::size_t& at);

  void add_word(std::string_view bytes, std::size_t offset, std::size_t size);
  Outcome incomplete();
  Outcome park(std::string_view bytes);
  Outcome finish(Status status, std::size_t consumed);
  Outcome fail(std::string_view text);

  ParserLimits limits_;
  bool authenticated_ = true;
  Phase phase_ = Phase::start;
  // Once a request was found incomplete, its words are kept as offsets from its first byte until it
  // is complete, since the caller may move the bytes. An offset takes the place of the view's
  // pointer: a million announced tiny words would otherwise cost twice the memory.
  bool words_are_offsets_ = false;
  std::size_t position_ = 0;    // where the header line, or the bulk's first byte, is
  std::size_t scanned_ = 0;     // the line's bytes before this one hold no line end
  std::int64_t remaining_ = 0;  // words still to come
  std::size_t bulk_bytes_ = 0;  // the announced size of the bulk being read
  std::vector<std::string_view> args_;
  std::string unquoted_;  // words of an inline request that had quotes
  std::string error_;
};

}  // namespace kvs::resp

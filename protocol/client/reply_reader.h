// reply_reader.h - bytes from the server in, replies out: hiredis' reader with our own objects.
//
// hiredis 0.14 reads RESP2. Its reader parses; the objects are built here, as `Reply` values, which
// is also where the bounds are kept: an array's announced length reserves nothing (CVE-2021-32765),
// and the bytes, objects, line length and nesting of one reply are limited (limits.h). hiredis 0.14
// knows seven arrays in each other and COMMAND DOCS has twelve, so arrays are opened here and
// hiredis reads what is in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/client/reply.h"

struct redisReader;

namespace kvs::client {

class ReplyReader {
 public:
  ReplyReader();
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // Copies `bytes`; at most limits::read_bytes at a time keep the bounds meaningful.
  void feed(std::string_view bytes);

  // Returns the next complete reply, or nullopt when more bytes are needed.
  // Errors: Code::protocol, for ever after: the stream cannot be understood any more.
  Result<std::optional<Reply>> next();

  // The reply under construction. Public for the callbacks of hiredis only.
  struct OpenArray {
    Reply* array;           // stable: what comes behind it does so when it is complete
    std::size_t remaining;  // elements that are not complete
  };
  struct Building {
    std::optional<Reply> reply;
    std::vector<OpenArray> open;  // outermost first
    std::size_t objects = 0;
    bool too_many = false;
  };

 private:
  enum class Array : std::uint8_t { none, opened, incomplete, too_deep };

  // Takes the header of an array with elements, if that is what comes next.
  Array open_array();
  Result<void> check_bounds();
  std::unexpected<Error> broken(std::string why);

  struct FreeReader {
    void operator()(redisReader* reader) const noexcept;
  };

  Building building_;
  std::size_t partial_bytes_ = 0;  // fed since the last complete reply
  std::optional<Error> failure_;
  std::unique_ptr<redisReader, FreeReader> reader_;  // last: it refers to building_
};

}  // namespace kvs::client

// reply_writer.h - writes RESP2 and RESP3 replies into a string.
//
// The protocol version is given per writer, because clients pipeline HELLO with what follows it:
// each reply is written in the version in force when its command ran. Where RESP2 has no such type,
// the RESP2 form that Redis uses is written (a map becomes a flat array, a double a bulk string).
// Thread: none of its own; the string belongs to whoever owns the writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvs::resp {

enum class Version : std::uint8_t { resp2 = 2, resp3 = 3 };

class ReplyWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  ReplyWriter(std::string& out, Version version) noexcept : out_(out), version_(version) {}

  Version version() const noexcept { return version_; }

  void simple(std::string_view text);  // +text; text without CR and LF
  void ok() { simple("OK"); }
  // -text. `text` begins with its code ("ERR ...", "WRONGTYPE ..."). CR and LF, which may come from
  // what a client sent, become spaces, so that the reply stays one line.
  void error(std::string_view text);
  void integer(std::int64_t value);
  void bulk(std::string_view bytes);
  // The same; a long one that comes first becomes the output itself, if it has room for what stands
  // around it, and is not copied. Otherwise `bytes` are untouched.
  void bulk(std::string&& bytes);
  void bulk(const char* text) { bulk(std::string_view(text)); }
  void bulk(const std::string& bytes) { bulk(std::string_view(bytes)); }
  void null();                // $-1 or _
  void null_array();          // *-1 or _  (an aborted EXEC)
  void number(double value);  // ,x or a bulk string; the shortest text that reads back the same
  void boolean(bool value);   // #t #f or :1 :0
  void verbatim(std::string_view text);  // =txt: or a bulk string
  void array(std::size_t elements);
  void map(std::size_t pairs);  // %pairs or *2*pairs
  void set(std::size_t elements);
  void push(std::size_t elements);  // > or *

 private:
  void header(char type, std::int64_t count);
  void rest_of_bulk(std::string_view bytes);

  std::string& out_;
  Version version_;
};

}  // namespace kvs::resp

// record_file.h - the files that export writes and import reads: JSON Lines, CSV and RESP.
//
//   JSON Lines  {"key": ..., "value": ..., "expires_at_ms": N} a line; what is not UTF-8 is
//               {"base64": "..."} (bytes.h)
//   CSV         RFC 4180 with a header: key,value,expires_at_ms,encoding; with the encoding base64
//               key and value are base64, since few programs read CSV that is not UTF-8
//   RESP        commands as a client sends them (SET key value [PXAT ms]); redis-cli --pipe reads
//               it, and any command may stand in it
//
// Deadlines are times of the clock, not times to live: a file that is read tomorrow must not bring
// back what was to be gone today.
//
// Writers and readers here know bytes only; files and servers belong to export.cc and import.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::cli {

enum class FileFormat : std::uint8_t { json_lines, csv, resp };

// By the ending of its name; JSON Lines when that says nothing.
FileFormat format_of_name(std::string_view file_name);

struct Record {
  std::string key;
  std::string value;
  std::optional<std::int64_t> expires_at_ms;  // since 1970, UTC
};

// What stands before the first record.
std::string_view file_header(FileFormat format);
void append_record(std::string& output, const Record& record, FileFormat format);

// A longer record than a server could take is not waited for.
inline constexpr std::size_t record_bytes_max = std::size_t{1} << 30;

// What a reader has found.
struct FileItem {
  enum class Kind : std::uint8_t {
    command,  // words
    bad,      // this record is not what it should be; the next one may be
    broken,   // nothing behind this can be understood
  };
  Kind kind = Kind::command;
  std::uint64_t line = 0;          // where it begins; in RESP the number of the command; from 1
  std::vector<std::string> words;  // at least one
  std::string problem;             // of what is bad or broken
};

class RecordReader {
 public:
  virtual ~RecordReader() = default;

  // Takes more bytes of the file, by appending them to this.
  std::string& input();
  // There is no more: what is incomplete now is the last record, or bad.
  void end() noexcept { ended_ = true; }

  // The next item, or nullopt: more bytes are needed, or after end() none is left.
  std::optional<FileItem> next();

 protected:
  virtual std::optional<FileItem> parse(std::string_view rest) = 0;
  void consume(std::size_t bytes) noexcept { begin_ += bytes; }
  bool ended() const noexcept { return ended_; }

 private:
  std::string input_;
  std::size_t begin_ = 0;  // of what was not consumed
  bool ended_ = false;
  bool broken_ = false;
};

std::unique_ptr<RecordReader> make_reader(FileFormat format);

// What "line" is called in messages.
std::string_view position_name(FileFormat format);

}  // namespace kvs::cli

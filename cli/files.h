// files.h - the files that kvs-client reads and writes for its user; "-" is stdin or stdout.
//
// What is written under a name appears there when it is complete, or not at all: a file that an
// interrupted export left half full would be taken for the whole one day. Devices, pipes and the
// like are written directly.
//
// Not here: the data of the server, which is storage/fs.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/async/result.h"

namespace kvs::cli {

// Errors of both: Code::io, with the file's name in the text.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& name);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  // Appends some bytes to `buffer`, at most `bytes_max`; 0: the end. Blocks.
  Result<std::size_t> read(std::string& buffer, std::size_t bytes_max = std::size_t{256} * 1024);
  Result<std::string> read_all();

  // Of a regular file from where it is read.
  std::optional<std::uint64_t> size_bytes() const noexcept { return size_bytes_; }
  const std::string& name() const noexcept { return name_; }

 private:
  InputFile(std::string name, int descriptor);

  std::string name_;  // for messages
  int descriptor_;    // -1 when moved from
  std::optional<std::uint64_t> size_bytes_;
};

class OutputFile {
 public:
  static Result<OutputFile> open(const std::string& name);
  // Without commit(): what was written is gone.
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  Result<void> write(std::string_view bytes);
  // Everything is under the file's name, and on disk.
  Result<void> commit();

  bool is_stdout() const noexcept { return path_.empty(); }

 private:
  OutputFile(std::string path, std::string temporary, int descriptor)
      : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}
  Result<void> flush();

  std::string path_;       // empty: stdout
  std::string temporary_;  // becomes path_; empty: path_ is written directly
  int descriptor_;         // -1 when moved from
  bool named_ = true;      // temporary_ is in its folder
  std::string buffer_;
};

// To stdout, at once.
Result<void> print(std::string_view bytes);

}  // namespace kvs::cli

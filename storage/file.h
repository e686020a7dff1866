// file.h - File on a POSIX descriptor. With directory.cc the only place with I/O calls.
#pragma once

#include <string>

#include "storage/fs.h"

namespace kvs {

class PosixFile final : public File {
 public:
  // Takes ownership of `descriptor`; `path` is for messages.
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override;
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<std::size_t> read_at(std::uint64_t offset_bytes, std::span<char> out) const override;
  Result<void> write_at(std::uint64_t offset_bytes, std::string_view bytes) override;
  Result<void> sync_data() override;
  void start_writeback(std::uint64_t offset_bytes, std::uint64_t bytes) override;
  Result<void> preallocate(std::uint64_t bytes) override;
  Result<void> truncate(std::uint64_t bytes) override;
  Result<std::uint64_t> size() const override;
  void drop_cached(std::uint64_t offset_bytes, std::uint64_t bytes) const override;
  int descriptor() const override { return descriptor_; }
  Result<std::uint64_t> link_count() const override;

 private:
  const int descriptor_;
  const std::string path_;
};

}  // namespace kvs

// directory.h - Directory and Fs on POSIX. With file.cc the only place with I/O calls.
#pragma once

#include <string>

#include "storage/fs.h"

namespace kvs {

class PosixDirectory final : public Directory {
 public:
  // Takes ownership of `descriptor`; entries are opened relative to it, so the directory may be
  // renamed while it is open.
  PosixDirectory(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixDirectory() override;
  PosixDirectory(const PosixDirectory&) = delete;
  PosixDirectory& operator=(const PosixDirectory&) = delete;

  const std::string& path() const override { return path_; }
  Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode) override;
  Result<std::vector<std::string>> list() override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view name) override;
  Result<void> sync() override;
  Result<std::uint64_t> free_bytes() const override;
  Result<std::unique_ptr<DirectoryLock>> lock(std::string_view name) override;
  Result<std::unique_ptr<DirectoryLock>> lock_shared(std::string_view name) override;
  Result<void> link(std::string_view name, Directory& target, std::string_view as) override;

 private:
  std::string path_of(std::string_view name) const;

  const int descriptor_;
  const std::string path_;
};

class PosixFs final : public Fs {
 public:
  Result<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path) override;
  Result<void> create_directory(const std::filesystem::path& path) override;
};

}  // namespace kvs

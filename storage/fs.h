// fs.h - the file system as the log sees it: the seam at which tests inject faults and crashes.
//
// What the log relies on, and what a test's file system has to model:
// - written bytes are readable at once and survive the death of the process;
// - they survive a power cut only after sync_data() of their file; until then any subset of sectors
//   may be there, in any order, and so may the file's size;
// - a name (created, renamed, removed) survives a power cut only after sync() of the directory;
// - a failed sync says nothing about what is on the disk, nor does any later successful one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/async/result.h"

namespace kvs {

// An open file. Thread: any number of readers beside one writer; sync_data from any thread.
class File {
 public:
  virtual ~File() = default;

  // Reads until `out` is full or the file ends, and returns the number of bytes read.
  virtual Result<std::size_t> read_at(std::uint64_t offset_bytes, std::span<char> out) const = 0;

  // Writes all of `bytes` in one call if the system takes them. After an error any part of them may
  // have been written.
  virtual Result<void> write_at(std::uint64_t offset_bytes, std::string_view bytes) = 0;

  // Brings the contents, and the size, to stable storage.
  virtual Result<void> sync_data() = 0;

  // Asks the system to begin writing a range, without waiting. A hint: never fails.
  virtual void start_writeback(std::uint64_t offset_bytes, std::uint64_t bytes) = 0;

  // Makes the file at least `bytes` long with its blocks allocated; new bytes read as zero. Does
  // nothing where the file system cannot.
  virtual Result<void> preallocate(std::uint64_t bytes) = 0;

  virtual Result<void> truncate(std::uint64_t bytes) = 0;
  virtual Result<std::uint64_t> size() const = 0;

  // Asks the system to forget its copy of a range that is on stable storage, so that the next read
  // asks the disk. A hint: never fails.
  virtual void drop_cached(std::uint64_t, std::uint64_t) const {}
  // The system's descriptor, for reads that go around this interface (FileReads of protocol); -1:
  // there is none. Belongs to the file.
  virtual int descriptor() const { return -1; }
  // Names that this file has. More than one: somebody else relies on its contents (a backup).
  virtual Result<std::uint64_t> link_count() const { return 1; }
};

// How Directory::open treats the name.
enum class OpenMode : std::uint8_t {
  existing,    // Code::not_found when there is none
  create_new,  // an error when there is one
  replace,     // created, or emptied
  read_only,   // as existing, but the file cannot be changed
};

// Held until destroyed, at the latest until the process ends.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

// An open directory; names are entries of it, never paths. Thread: any.
class Directory {
 public:
  virtual ~Directory() = default;

  // For messages.
  virtual const std::string& path() const = 0;

  // Opens a regular file for reading and writing.
  virtual Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode) = 0;
  // Names of all entries but "." and "..", in no order.
  virtual Result<std::vector<std::string>> list() = 0;
  // Atomically replaces `to`.
  virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  virtual Result<void> remove(std::string_view name) = 0;
  // Brings the entries to stable storage.
  virtual Result<void> sync() = 0;
  // Bytes that files in here may still take; UINT64_MAX when nobody can tell.
  virtual Result<std::uint64_t> free_bytes() const { return UINT64_MAX; }
  // Takes an exclusive lock on the file `name`, creating it. Errors: busy when somebody holds it.
  virtual Result<std::unique_ptr<DirectoryLock>> lock(std::string_view name) = 0;

  // Keeps others from taking the exclusive lock, and changes nothing: null when there is no file
  // `name`, which nobody can have locked then. Errors: busy.
  virtual Result<std::unique_ptr<DirectoryLock>> lock_shared(std::string_view name) {
    return lock(name);
  }
  // Gives the file `name` a second name, `as` in `target`. Errors: invalid when these two
  // directories cannot share a file (other file system, no links): copy then; io when `as` exists.
  virtual Result<void> link(std::string_view name, Directory& target, std::string_view as);
};

class Fs {
 public:
  virtual ~Fs() = default;

  // Errors: not_found when there is nothing at `path`; io.
  virtual Result<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path) = 0;
  // Creates the last component of `path`, and makes the new entry durable.
  virtual Result<void> create_directory(const std::filesystem::path& path) = 0;
};

// The operating system's.
std::shared_ptr<Fs> real_fs();

}  // namespace kvs

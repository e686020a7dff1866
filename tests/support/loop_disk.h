// loop_disk.h - a file system of the test's own on a loop device, whose power can be cut.
//
// `cut_power` is the file system's own emergency stop (the ioctl behind `xfs_io -x -c shutdown`):
// from then on nothing reaches the image, and what the page cache still holds is gone with the
// mount. The device and the mount vanish with the process, however it ends: the mount lives in a
// private mount namespace of the process, the device clears itself when it is closed.
#pragma once

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace kvs::test {

enum class DiskKind { ext4, xfs };

// Empty when loop disks can be used here (root, loop devices, mkfs); otherwise why not.
std::string loop_disk_obstacle(DiskKind kind);

// Every call throws std::runtime_error when the system refuses.
class LoopDisk {
 public:
  // Makes the file system and mounts it. Moves the calling process into a mount namespace of its
  // own, once; threads that exist by then stay outside.
  explicit LoopDisk(DiskKind kind);
  ~LoopDisk();
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;

  const std::filesystem::path& path() const noexcept { return mount_; }

  // What the journal has gathered in memory may be written before the end, or is lost as well.
  enum class Journal { flushed, lost };
  void cut_power(Journal journal);
  // Unmounts, once nobody has files open there any more, and mounts again: the journal is replayed.
  void remount();

 private:
  void mount();
  void unmount();

  const DiskKind kind_;
  TempDir dir_;
  std::filesystem::path mount_;
  std::string device_;
  int device_fd_ = -1;
  bool mounted_ = false;
};

}  // namespace kvs::test

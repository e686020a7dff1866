#include "tests/support/loop_disk.h"

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <thread>
#include <unistd.h>

#include "tests/support/run_program.h"

namespace kvs::test {
namespace {

// XFS_IOC_GOINGDOWN, which ext4 has under the same number; no header of the C library names it.
constexpr unsigned long going_down = _IOR('X', 125, std::uint32_t);
constexpr std::uint32_t flush_journal = 1;
constexpr std::uint32_t no_flush = 2;

// The least that mkfs.xfs accepts. The image is sparse.
constexpr off_t image_bytes = off_t{320} << 20;

const char* name_of(DiskKind kind) {
  return kind == DiskKind::ext4 ? "ext4" : "xfs";
}

std::filesystem::path mkfs_of(DiskKind kind) {
  return std::string("/usr/sbin/mkfs.") + name_of(kind);
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

void enter_private_namespace() {
  static bool entered = false;
  if (entered) return;
  if (unshare(CLONE_NEWNS) != 0) refuse("unshare");
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) refuse("private mounts");
  entered = true;
}

}  // namespace

std::string loop_disk_obstacle(DiskKind kind) {
  if (geteuid() != 0) return "not root";
  if (access("/dev/loop-control", R_OK | W_OK) != 0) return "no loop devices";
  if (access(mkfs_of(kind).c_str(), X_OK) != 0) return mkfs_of(kind).string() + " is not installed";
  try {
    const LoopDisk disk(kind);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

LoopDisk::LoopDisk(DiskKind kind) : kind_(kind), mount_(dir_.path() / "mnt") {
  enter_private_namespace();
  std::filesystem::create_directory(mount_);
  const std::filesystem::path image = dir_.path() / "image";
  const int image_fd = open(image.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (image_fd < 0 || ftruncate(image_fd, image_bytes) != 0) refuse("image");
  const ProgramResult made =
      run_program({.program = mkfs_of(kind), .arguments = {"-q", image.string()}});
  if (made.exit_code != 0) throw std::runtime_error("mkfs: " + made.err);

  const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) refuse("/dev/loop-control");
  // Somebody else may take the number in between.
  for (int attempt = 0; attempt < 20 && device_fd_ < 0; ++attempt) {
    const int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) break;
    device_ = "/dev/loop" + std::to_string(number);
    const int fd = open(device_.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) break;
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(image_fd);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
      device_fd_ = fd;
    } else {
      ::close(fd);
    }
  }
  ::close(control);
  ::close(image_fd);
  if (device_fd_ < 0) refuse("loop device");
  mount();
}

LoopDisk::~LoopDisk() {
  if (mounted_) (void)umount2(mount_.c_str(), MNT_DETACH);
  if (device_fd_ >= 0) ::close(device_fd_);
}

void LoopDisk::mount() {
  if (::mount(device_.c_str(), mount_.c_str(), name_of(kind_), MS_NOATIME, nullptr) != 0) {
    refuse("mount " + device_);
  }
  mounted_ = true;
}

void LoopDisk::unmount() {
  // The last descriptor of a process that was killed may be closed a moment after its end.
  for (int attempt = 0; umount(mount_.c_str()) != 0; ++attempt) {
    if (errno != EBUSY || attempt == 2000) refuse("umount");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  mounted_ = false;
}

void LoopDisk::cut_power(Journal journal) {
  const int fd = open(mount_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) refuse("open " + mount_.string());
  const std::uint32_t how = journal == Journal::flushed ? flush_journal : no_flush;
  const int done = ioctl(fd, going_down, &how);
  ::close(fd);
  if (done != 0) refuse("shutdown");
}

void LoopDisk::remount() {
  unmount();
  mount();
}

}  // namespace kvs::test

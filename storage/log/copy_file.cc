#include "storage/log/copy_file.h"

#include <algorithm>
#include <string>

#include "storage/limits.h"
#include "storage/log/checksum.h"

namespace kvs::log {
namespace {

template <class Use>
Result<std::uint32_t> for_each_piece(const File& file, std::uint64_t bytes,
                                     const Cancelled& cancelled, Use&& use) {
  std::string buffer;
  std::uint32_t crc = 0;
  for (std::uint64_t at = 0; at < bytes;) {
    if (cancelled && cancelled()) return fail(Code::cancelled, "given up");
    const std::uint64_t wanted = std::min<std::uint64_t>(limits::scan_read_bytes, bytes - at);
    buffer.resize(static_cast<std::size_t>(wanted));
    auto got = file.read_at(at, buffer);
    if (!got) return std::unexpected(got.error());
    if (*got != buffer.size()) return fail(Code::corrupt, "the file is shorter than it was");
    crc = crc32c(crc, buffer);
    if (auto used = use(at, std::string_view(buffer)); !used) {
      return std::unexpected(used.error());
    }
    at += wanted;
  }
  return crc;
}

}  // namespace

Result<std::uint32_t> checksum_of(const File& file, std::uint64_t bytes,
                                  const Cancelled& cancelled) {
  return for_each_piece(file, bytes, cancelled,
                        [](std::uint64_t, std::string_view) { return Result<void>{}; });
}

Result<std::uint32_t> copy_contents(const File& file, std::uint64_t bytes, Directory& target,
                                    std::string_view as, const Cancelled& cancelled) {
  auto copy = target.open(as, OpenMode::replace);
  if (!copy) return std::unexpected(copy.error());
  auto crc = for_each_piece(file, bytes, cancelled,
                            [&copy](std::uint64_t offset_bytes, std::string_view piece) {
                              return (*copy)->write_at(offset_bytes, piece);
                            });
  if (!crc) return crc;
  if (auto synced = (*copy)->sync_data(); !synced) return std::unexpected(synced.error());
  return crc;
}

Result<void> copy_file(Directory& source, std::string_view name, Directory& target,
                       std::string_view as) {
  auto file = source.open(name, OpenMode::read_only);
  if (!file) return std::unexpected(file.error());
  auto size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  auto copied = copy_contents(**file, *size, target, as);
  if (!copied) return std::unexpected(copied.error());
  return {};
}

}  // namespace kvs::log

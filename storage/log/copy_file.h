// copy_file.h - a whole file from one directory to another.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "storage/fs.h"

namespace kvs::log {

// Asked now and then by work that takes long; true: give up. May be empty.
using Cancelled = std::function<bool()>;

// Returns the CRC32C of the first `bytes` of `file`. Errors: io, corrupt when it is shorter,
// cancelled.
Result<std::uint32_t> checksum_of(const File& file, std::uint64_t bytes,
                                  const Cancelled& cancelled = {});

// Writes the first `bytes` of `file` to the new file `as` in `target`, syncs it, and returns their
// CRC32C. `target` is for the caller to sync. Errors: as above, no_space.
Result<std::uint32_t> copy_contents(const File& file, std::uint64_t bytes, Directory& target,
                                    std::string_view as, const Cancelled& cancelled = {});

// The same with the whole file `name`. Errors: not_found too.
Result<void> copy_file(Directory& source, std::string_view name, Directory& target,
                       std::string_view as);

}  // namespace kvs::log

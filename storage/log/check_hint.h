// check_hint.h - does a hint say what its segment says?
//
// A hint that cannot be used is no damage: the next open scans the segment instead and makes the
// hint anew. One that could be used and is wrong would be worse than none; both are told apart by
// comparing every record.
#pragma once

#include <cstdint>

#include "storage/fs.h"
#include "storage/log/survey.h"

namespace kvs::log {

struct HintVerdict {
  enum class Kind : std::uint8_t { missing, right, unusable, wrong };
  Kind kind = Kind::missing;
  const char* fault = nullptr;  // unusable, wrong
};

// Compares the hint of the segment `id`, sealed and without damage, with the segment in `file`.
// Errors: io.
Result<HintVerdict> check_hint(Directory& directory, const File& file, SegmentId id);

}  // namespace kvs::log

// manifest_fuzz.cc - any text as MANIFEST, or as the BACKUP of a backup: it is read or called
// corrupt, and what was read is written so that it reads the same.
//
// The first byte of the input: with its first bit set the checksum in the last line is made right
// before it is read, so that the rules behind it are reached too.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "storage/log/backup.h"
#include "storage/log/checksum.h"
#include "storage/log/manifest.h"

namespace {

using namespace kvs;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void mend(std::string& text) {
  const std::size_t at = text.rfind("crc32c ");
  if (at == std::string::npos) return;
  text.resize(at);
  char line[32];
  std::snprintf(line, sizeof line, "crc32c %08x\n", log::crc32c(0, text));
  text += line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) mend(text);

  if (const auto manifest = log::parse_manifest(text)) {
    require(log::encode_manifest(*manifest) == text, "there is one way to write a manifest");
  } else {
    require(manifest.error().code() == Code::corrupt, "what is refused is corrupt");
  }
  if (const auto backup = log::parse_backup_manifest(text)) {
    require(log::encode_backup_manifest(*backup) == text, "there is one way to write a backup's");
  } else {
    require(backup.error().code() == Code::corrupt, "what is refused is corrupt");
  }
  return 0;
}

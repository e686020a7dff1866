// import_file_fuzz.cc - any bytes as a file to import, cut in any way, give the same records and
// problems; and records that were read come back from every format that they are written in.
//
// The first byte of the input chooses the format, the second the cuts.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cli/record_file.h"

namespace {

using namespace kvs::cli;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

std::vector<FileItem> read(std::string_view bytes, FileFormat format, std::size_t piece) {
  const auto reader = make_reader(format);
  std::vector<FileItem> items;
  for (std::size_t at = 0;; at += piece) {
    if (at < bytes.size()) {
      reader->input().append(bytes.substr(at, piece));
    } else {
      reader->end();
    }
    while (auto item = reader->next()) items.push_back(std::move(*item));
    if (at >= bytes.size()) return items;
  }
}

bool same(const std::vector<FileItem>& a, const std::vector<FileItem>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.kind == y.kind && x.line == y.line && x.words == y.words && x.problem == y.problem;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t choices = 2;
  constexpr FileFormat formats[] = {FileFormat::json_lines, FileFormat::csv, FileFormat::resp};
  if (size < choices) return 0;
  const FileFormat format = formats[data[0] % 3];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + choices, size - choices);

  const auto whole = read(bytes, format, bytes.size() + 1);
  require(same(read(bytes, format, 1 + data[1]), whole), "cuts change nothing");
  if (bytes.size() <= 512)
    require(same(read(bytes, format, 1), whole), "nor does every byte alone");
  for (const FileItem& item : whole) {
    require(item.line > 0, "places count from 1");
    const bool command = item.kind == FileItem::Kind::command;
    require(command == !item.words.empty(), "a command has words, what is bad has none");
    require(command == item.problem.empty(), "what is bad says what is wrong");
    if (!command || item.words.size() < 3 || item.words[0] != "SET") continue;
    const Record record{.key = item.words[1], .value = item.words[2], .expires_at_ms = {}};
    for (const FileFormat other : formats) {
      std::string file(file_header(other));
      append_record(file, record, other);
      const auto again = read(file, other, file.size());
      require(again.size() == 1 && again[0].words.size() == 3 && again[0].words[1] == record.key &&
                  again[0].words[2] == record.value,
              "a record comes back from every format");
    }
  }
  return 0;
}

// scan.h - `kvs-client scan [PATTERN]`: the keys, a page at a time, with what one asks for of each.
#pragma once

#include <cstdint>
#include <string>

#include "cli/connection.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace kvs::cli {

struct ScanOptions {
  std::string pattern;             // empty: every key
  std::uint64_t page_keys = 1000;  // asked of the server at once, roughly
  std::string type;                // empty: of every type
  bool with_type = false;
  bool with_values = false;
  bool count_only = false;
};

CLI::App* declare_scan(CLI::App& app, ScanOptions& options);

int run_scan(const ConnectionOptions& to, const OutputOptions& output, const ScanOptions& options);

}  // namespace kvs::cli

// export.h - `kvs-client export FILE`: every key with its value and deadline, in bounded memory.
//
// It walks with SCAN while the server goes on working: what is there all the time is in the file,
// what comes or goes meanwhile may be. A key's value and deadline are read in one transaction.
#pragma once

#include <optional>
#include <string>

#include "cli/connection.h"
#include "cli/output.h"
#include "cli/record_file.h"

namespace CLI {
class App;
}

namespace kvs::cli {

struct ExportOptions {
  std::string file;
  std::optional<FileFormat> format;  // none: by the file's name
  std::string pattern;               // empty: every key
};

CLI::App* declare_export(CLI::App& app, ExportOptions& options);

int run_export(const ConnectionOptions& to, const OutputOptions& output,
               const ExportOptions& options);

}  // namespace kvs::cli

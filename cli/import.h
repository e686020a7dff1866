// import.h - `kvs-client import FILE`: what a file has goes into the server, many commands in
// flight, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/connection.h"
#include "cli/output.h"
#include "cli/record_file.h"

namespace CLI {
class App;
}

namespace kvs::cli {

enum class OnError : std::uint8_t { stop, skip };

struct ImportOptions {
  std::string file;
  std::optional<FileFormat> format;  // none: by the file's name
  OnError on_error = OnError::stop;
};

CLI::App* declare_import(CLI::App& app, ImportOptions& options);

// --format of import and export.
void declare_format(CLI::App& command, std::optional<FileFormat>& format);

int run_import(const ConnectionOptions& to, const OutputOptions& output,
               const ImportOptions& options);

}  // namespace kvs::cli

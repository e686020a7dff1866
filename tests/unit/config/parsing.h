// parsing.h - runs parse_config as main would, with an environment, files and output of the test's
// own.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/config.h"

namespace kvs::daemon::testing {

// A private directory with files in it; gone at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // Writes a file and returns its path.
  std::string write(std::string_view name, std::string_view text) const;
  std::string path(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Sets an environment variable for the life of this object.
class Variable {
 public:
  Variable(std::string name, const std::string& value);
  ~Variable();
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
  std::optional<std::string> before_;
};

// Collects what is written to a descriptor (1 or 2) until `text` is called, whatever layer writes
// it.
class Captured {
 public:
  explicit Captured(int descriptor);
  ~Captured();
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  // Ends collecting.
  std::string text();

 private:
  int descriptor_;
  int original_;
  std::FILE* file_;
};

struct Parsed {
  std::optional<Config> config;
  int exit_code = 0;
  std::string out;
  std::string err;
};

Parsed parse(std::vector<std::string> arguments);

}  // namespace kvs::daemon::testing

// parsing.cc - the process-wide things (environment, descriptors) that the config tests change and
// restore.
#include "tests/unit/config/parsing.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <unistd.h>

#include <doctest/doctest.h>

namespace kvs::daemon::testing {

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "kvs-config-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(std::string_view name, std::string_view text) const {
  std::ofstream(path(name), std::ios::binary) << text;
  return path(name);
}

Variable::Variable(std::string name, const std::string& value) : name_(std::move(name)) {
  if (const char* before = std::getenv(name_.c_str())) before_ = before;
  ::setenv(name_.c_str(), value.c_str(), 1);
}

Variable::~Variable() {
  if (before_) {
    ::setenv(name_.c_str(), before_->c_str(), 1);
  } else {
    ::unsetenv(name_.c_str());
  }
}

Captured::Captured(int descriptor)
    : descriptor_(descriptor), original_(::dup(descriptor)), file_(std::tmpfile()) {
  std::fflush(nullptr);
  ::dup2(::fileno(file_), descriptor_);
}

Captured::~Captured() {
  if (file_ != nullptr) text();
}

std::string Captured::text() {
  std::fflush(nullptr);
  ::dup2(original_, descriptor_);
  ::close(original_);
  std::string collected;
  std::rewind(file_);
  char chunk[4096];
  while (const std::size_t bytes = std::fread(chunk, 1, sizeof(chunk), file_)) {
    collected.append(chunk, bytes);
  }
  std::fclose(file_);
  file_ = nullptr;
  return collected;
}

Parsed parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "kvs-server");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  Captured out(STDOUT_FILENO);
  Captured err(STDERR_FILENO);
  ParseOutcome outcome = parse_config(static_cast<int>(argv.size()), argv.data());
  return {.config = std::move(outcome.config),
          .exit_code = outcome.exit_code,
          .out = out.text(),
          .err = err.text()};
}

}  // namespace kvs::daemon::testing

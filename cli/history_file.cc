#include "cli/history_file.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.h"
#include "cli/words.h"

namespace kvs::cli {
namespace {

constexpr mode_t owner_only = 0600;
constexpr mode_t folder_owner_only = 0700;

void make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), folder_owner_only);
  }
}

void write_lines(const std::string& path, int flags, std::string_view lines) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, owner_only);
  if (descriptor < 0) return;
  // One that is there already may be open to all.
  if (::fchmod(descriptor, owner_only) == 0) {
    const ssize_t written = ::write(descriptor, lines.data(), lines.size());
    static_cast<void>(written);
  }
  ::close(descriptor);
}

}  // namespace

std::string history_path() {
  // Relative ones are to be ignored (XDG Base Directory Specification).
  const char* const state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/kvs/history";
  const char* const home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.local/state/kvs/history";
  return {};
}

std::vector<std::string> load_history(const std::string& path) {
  std::vector<std::string> lines;
  if (path.empty()) return lines;
  Result<InputFile> file = InputFile::open(path);
  if (!file) return lines;
  const Result<std::string> text = file->read_all();
  if (!text) return lines;
  for (std::size_t begin = 0; begin < text->size();) {
    const std::size_t end = std::min(text->find('\n', begin), text->size());
    if (end > begin) lines.push_back(text->substr(begin, end - begin));
    begin = end + 1;
  }
  const bool too_many = lines.size() > 4 * history_lines_max;
  if (lines.size() > history_lines_max) {
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(history_lines_max));
  }
  if (too_many) {
    std::string kept;
    for (const std::string& line : lines) kept += line + "\n";
    write_lines(path, O_TRUNC, kept);
  }
  return lines;
}

void append_history(const std::string& path, std::string_view line) {
  if (path.empty() || line.find('\n') != std::string_view::npos) return;
  make_folders(path);
  write_lines(path, O_APPEND, std::string(line) + "\n");
}

bool has_secret(const std::vector<std::string>& words) {
  if (words.empty()) return false;
  const std::string name = upper(words[0]);
  if (name == "AUTH") return true;
  const bool second_is_setuser = words.size() > 1 && upper(words[1]) == "SETUSER";
  if (name == "ACL" && second_is_setuser) return true;
  for (const std::string& word : words) {
    const std::string each = upper(word);
    if ((name == "HELLO" || name == "MIGRATE") && each.starts_with("AUTH")) return true;
    if (name == "CONFIG" &&
        (each.find("PASS") != std::string::npos || each.find("AUTH") != std::string::npos)) {
      return true;
    }
  }
  return false;
}

}  // namespace kvs::cli

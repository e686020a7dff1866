#include "daemon/acl/user_list.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "daemon/acl/rules.h"
#include "daemon/log.h"
#include "storage/fs.h"

namespace kvs::daemon::acl {

namespace {

constexpr std::uint64_t file_bytes_max = 64u << 20;

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view blanks = " \t\r";
  std::vector<std::string_view> words;
  for (std::size_t at = line.find_first_not_of(blanks); at < line.size();
       at = line.find_first_not_of(blanks, at)) {
    const std::size_t end = std::min(line.find_first_of(blanks, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

std::string about(const RuleMistake& mistake) {
  if (mistake.rule.empty()) return mistake.text;
  return "Error in applying operation '" + escaped(mistake.rule) + "': " + mistake.text + ".";
}

// Passwords in clear need not be in a message that ends in a log.
RuleMistake without_secret(RuleMistake mistake) {
  if (mistake.rule.starts_with('>') || mistake.rule.starts_with('<')) mistake.rule.resize(1);
  return mistake;
}

Result<std::unique_ptr<Directory>> folder_of(const std::filesystem::path& path) {
  const auto folder = std::filesystem::absolute(path).parent_path();
  return real_fs()->open_directory(folder);
}

}  // namespace

Result<std::vector<User>> parse_users(std::string_view text, const std::string& source,
                                      const CommandTable& commands) {
  std::map<std::string, User, std::less<>> users;
  std::string mistakes;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) continue;
    const std::string place = source + ":" + std::to_string(number);
    if (words[0] != "user" || words.size() < 2) {
      mistakes += place + " should start with user keyword followed by the username. ";
      continue;
    }
    if (!is_user_name(words[1])) {
      mistakes += place + ": " + "the username holds a zero byte. ";
      continue;
    }
    if (users.contains(words[1])) {
      mistakes += place + ": Duplicate user '" + escaped(words[1]) + "' found. ";
      continue;
    }
    User user = new_user(words[1]);
    if (auto mistake = apply_rules(user, std::span(words).subspan(2), commands)) {
      mistakes += place + ": " + about(without_secret(*std::move(mistake))) + " ";
      continue;
    }
    users.emplace(std::string(words[1]), std::move(user));
  }
  if (!mistakes.empty()) {
    return fail(Code::invalid, mistakes +
                                   "WARNING: ACL errors detected, no change to the previously "
                                   "active ACL rules was performed");
  }
  std::vector<User> list;
  for (auto& [name, user] : users) list.push_back(std::move(user));
  return list;
}

Result<std::vector<User>> read_users(const std::filesystem::path& path,
                                     const CommandTable& commands) {
  const auto directory = folder_of(path);
  if (!directory) return std::unexpected(directory.error());
  const auto file = (*directory)->open(path.filename().string(), OpenMode::read_only);
  if (!file) return std::unexpected(file.error());
  const auto bytes = (*file)->size();
  if (!bytes) return std::unexpected(bytes.error());
  if (*bytes > file_bytes_max) return fail(Code::invalid, path.string() + " is too long");
  std::string text(*bytes, '\0');
  const auto taken = (*file)->read_at(0, text);
  if (!taken) return std::unexpected(taken.error());
  text.resize(*taken);
  return parse_users(text, path.string(), commands);
}

Result<void> write_users(const std::filesystem::path& path, const Accounts& accounts) {
  std::string text;
  for (const AccountPtr& account : accounts.list()) text += line_of(*account->user()) + "\n";

  std::error_code refused;
  auto target = std::filesystem::canonical(path, refused);  // a link stays one
  const bool is_there = !refused;
  if (!is_there) target = std::filesystem::absolute(path);
  const std::string name = target.filename().string();
  const std::string draft = name + ".draft";
  auto directory = folder_of(target);
  if (!directory) return std::unexpected(directory.error());
  {
    auto file = (*directory)->open(draft, OpenMode::replace);
    if (!file) return std::unexpected(file.error());
    // Nobody may read it whom the old one was closed to.
    using std::filesystem::perms;
    auto mode = perms::owner_read | perms::owner_write;
    if (is_there) mode = std::filesystem::status(target, refused).permissions();
    if (!refused || !is_there) {
      std::filesystem::permissions(target.parent_path() / draft, mode, refused);
    }
    if (refused) return fail(Code::io, draft + ": " + refused.message());
    if (auto written = (*file)->write_at(0, text); !written) return written;
    if (auto synced = (*file)->sync_data(); !synced) return synced;
  }
  if (auto renamed = (*directory)->rename(draft, name); !renamed) return renamed;
  return (*directory)->sync();
}

Result<void> load_users_at_start(const Config& config, Accounts& accounts) {
  if (!config.aclfile.empty() && !config.users.empty()) {
    return fail(Code::invalid, "users stand in the config file or in the aclfile, not in both");
  }
  for (const std::string& line : config.users) {
    const auto words = words_of(line);
    if (words.empty() || !is_user_name(words[0])) {
      return fail(Code::invalid, "a user line of the config file has no name of a user");
    }
    const auto changed = accounts.change(words[0], std::span(words).subspan(1));
    if (!changed) {
      return fail(Code::invalid, "user " + escaped(words[0]) +
                                     " of the config file: " + changed.error().message());
    }
  }
  if (config.aclfile.empty()) return {};
  auto users = read_users(config.aclfile, accounts.commands());
  if (!users) return std::unexpected(users.error());
  accounts.replace_all(std::move(*users), config.requirepass);
  return {};
}

}  // namespace kvs::daemon::acl

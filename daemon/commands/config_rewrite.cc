// config_rewrite.cc - CONFIG REWRITE: brings what CONFIG SET has changed into the config file.
//
// The one path from the wire to a file: it goes to the file that the server was started with and to
// no other, and what it writes are values that CONFIG SET has found good. The new text replaces the
// old in one step, so that no moment sees half of it. Included files are read, never written: what
// they say is overridden by a line at the end.
#include "daemon/commands/config_rewrite.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <vector>

#include "daemon/acl/accounts.h"
#include "daemon/commands/server_handlers.h"
#include "daemon/config_file.h"
#include "daemon/config_options.h"
#include "daemon/settings.h"
#include "storage/fs.h"

namespace kvs::daemon {

namespace {

std::string line_of(const ConfigOption& option, const std::string& value) {
  const bool as_it_is = option.words_max > 1 && !value.empty();
  return std::string(option.name) + " " + (as_it_is ? value : config_word(value));
}

bool is_user_line(const std::string& line) {
  const auto words = split_words(line);
  return words && !words->empty() && (words->front() == "user" || words->front() == "USER");
}

// Users as `user` lines: all of them, unless an ACL file has them; none when there is but the
// default one and requirepass says all about it.
std::vector<std::string> user_lines(const Services& services) {
  std::vector<std::string> lines;
  if (!services.config.aclfile.empty()) return lines;
  const auto accounts = services.accounts.list();
  const std::string plain =
      acl::line_of(acl::default_user(services.commands, services.settings.password()));
  for (const auto& account : accounts) {
    const std::string line = acl::line_of(*account->user());
    if (accounts.size() == 1 && line == plain) break;
    lines.push_back(line.substr(std::string_view("user ").size()));
  }
  return lines;
}

Result<void> replace(const std::filesystem::path& path, const std::string& text) {
  std::error_code refused;
  const auto target = std::filesystem::canonical(path, refused);  // a link stays one
  if (refused) return fail(Code::io, path.string() + ": " + refused.message());
  const std::string name = target.filename().string();
  const std::string draft = name + ".rewrite";
  auto directory = real_fs()->open_directory(target.parent_path());
  if (!directory) return std::unexpected(directory.error());
  {
    auto file = (*directory)->open(draft, OpenMode::replace);
    if (!file) return std::unexpected(file.error());
    // It may hold a password: nobody may read it whom the old one was closed to.
    const auto mode = std::filesystem::status(target, refused).permissions();
    if (!refused) std::filesystem::permissions(target.parent_path() / draft, mode, refused);
    if (refused) return fail(Code::io, draft + ": " + refused.message());
    if (auto written = (*file)->write_at(0, text); !written) return written;
    if (auto synced = (*file)->sync_data(); !synced) return synced;
  }
  if (auto renamed = (*directory)->rename(draft, name); !renamed) return renamed;
  return (*directory)->sync();
}

}  // namespace

Config current_config(const Config& started, const Settings& settings) {
  Config now = started;
  now.sync = settings.sync.load();
  now.durability_prefix = settings.prefix_rules_text();
  now.maxclients = settings.maxclients.load();
  now.timeout = std::chrono::seconds(settings.timeout_seconds.load());
  now.request_timeout = std::chrono::seconds(settings.request_timeout_seconds.load());
  now.protected_mode = settings.protected_mode.load();
  now.proto_max_bulk_len = settings.proto_max_bulk_len.load();
  now.client_query_buffer_limit = settings.client_query_buffer_limit.load();
  now.client_output_buffer_hard = settings.client_output_buffer_hard.load();
  now.client_output_buffer_soft = settings.client_output_buffer_soft.load();
  now.client_output_buffer_soft_seconds =
      std::chrono::seconds(settings.client_output_buffer_soft_seconds.load());
  // 0 stands for what it was resolved to.
  if (settings.maxmemory_clients.load() != physical_memory_bytes() / 4) {
    now.maxmemory_clients = settings.maxmemory_clients.load();
  }
  now.compact_rate_limit = settings.compact_rate_limit.load();
  now.notify_keyspace_events = settings.notify_letters();
  now.requirepass = settings.password();
  now.tls = settings.tls.options();
  now.slowlog_log_slower_than = settings.slowlog_log_slower_than_us.load();
  now.slowlog_max_len = settings.slowlog_max_len.load();
  now.latency_monitor_threshold = settings.latency_monitor_threshold_ms.load();
  now.latency_tracking = settings.latency_tracking.load();
  now.tracking_table_max_keys = settings.tracking_table_max_keys.load();
  return now;
}

std::string rewritten_config(const std::string& text, const Config& started,
                             const Config& current) {
  std::vector<std::string> lines;
  std::istringstream input(text);
  const bool users_changed = started.users != current.users;
  for (std::string line; std::getline(input, line);) {
    if (!users_changed || !is_user_line(line)) lines.push_back(line);
  }

  struct Said {
    std::vector<std::size_t> lines;
    std::string value;
  };
  std::map<const ConfigOption*, Said> said;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto words = split_words(lines[i]);
    if (!words || words->empty()) continue;
    std::string name = words->front();
    for (char& letter : name) {
      if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    if (const ConfigOption* const option = find_config_option(name)) {
      words->erase(words->begin());
      std::string value = option_value(*option, *words);
      Said& so_far = said[option];
      const bool adds_up = option->repeated == Repeated::adds_up && !so_far.lines.empty();
      so_far.lines.push_back(i);
      so_far.value = adds_up ? so_far.value + " " + value : value;
    }
  }

  std::set<std::size_t> replaced;  // lines whose words stand in another one now
  constexpr const char* heading = "# Generated by CONFIG REWRITE";
  bool headed = false;
  for (const ConfigOption& option : config_options()) {
    const std::string wanted = option.show(current);
    const auto there = said.find(&option);
    if (there != said.end()) {
      Config spoken = started;  // the same value may be written in other ways: 1gb, 1024mb
      const bool is_said =
          !option.set(spoken, there->second.value) && option.show(spoken) == wanted;
      if (is_said) continue;
      lines[there->second.lines.back()] = line_of(option, wanted);
      if (option.repeated == Repeated::last_wins) continue;
      there->second.lines.pop_back();
      replaced.insert(there->second.lines.begin(), there->second.lines.end());
    } else if (wanted != option.show(started)) {
      if (!headed && text.find(heading) == text.npos) lines.emplace_back(heading);
      headed = true;
      lines.push_back(line_of(option, wanted));
    }
  }
  if (users_changed && !current.users.empty()) {
    if (!headed && text.find(heading) == text.npos) lines.emplace_back(heading);
    for (const std::string& user : current.users) lines.push_back("user " + user);
  }
  std::string result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!replaced.contains(i)) result += lines[i] + "\n";
  }
  return result;
}

// CONFIG REWRITE: runs on the pool, since it waits for the disk.
void config_rewrite(Context& context, Args, resp::ReplyWriter& reply) {
  const Config& started = context.services.config;
  if (started.config_file.empty()) {
    return reply.error("ERR The server is running without a config file");
  }
  static std::mutex one_at_a_time;
  std::scoped_lock lock(one_at_a_time);
  std::ifstream file(started.config_file);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return reply.error("ERR Rewriting config file: cannot read " + started.config_file.string());
  }
  Config current = current_config(started, context.services.settings);
  current.users = user_lines(context.services);
  const auto written = replace(started.config_file, rewritten_config(text.str(), started, current));
  if (!written) return reply.error("ERR Rewriting config file: " + written.error().message());
  reply.ok();
}

}  // namespace kvs::daemon

#include "tests/differential/compare.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "tests/support/socket.h"

namespace kvs::test {

namespace {

constexpr std::int64_t dead_keys_max = 2;

std::optional<std::int64_t> integer_of(std::string_view reply) {
  if (!reply.starts_with(':')) return std::nullopt;
  std::int64_t value = 0;
  std::from_chars(reply.data() + 1, reply.data() + reply.size(), value);
  return value;
}

bool is_null(std::string_view reply) {
  return reply.starts_with("$-1") || reply.starts_with("*-1") || reply.starts_with("_");
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}

std::string sorted(std::string_view reply) {
  std::vector<std::string> parts = elements(reply);
  std::sort(parts.begin(), parts.end());
  return reply[0] + joined(parts);
}

// The values whose names are among `names` go, from a map or an array of names and values.
std::string without(std::string_view reply, std::initializer_list<std::string_view> names) {
  const std::vector<std::string> parts = elements(reply);
  std::string out(reply.substr(0, 1));
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
    const bool named = std::find(names.begin(), names.end(), text_of(parts[i])) != names.end();
    out += parts[i] + (named ? "" : parts[i + 1]);
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// One command of COMMAND INFO: without the order of what has none, without the notes of key specs,
// which say nothing to programs, and without subcommands that just one server has.
std::string command_facts(std::string_view reply, const CommandNames& of_one) {
  constexpr std::size_t flags = 2, categories = 6, tips = 7, key_specs = 8, subcommands = 9;
  const std::vector<std::string> parts = elements(reply);
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i == flags || i == categories || i == tips) {
      out += sorted(parts[i]);
    } else if (i == key_specs) {
      for (const std::string& spec : elements(parts[i])) {
        const std::vector<std::string> fields = elements(spec);
        for (std::size_t f = 0; f + 1 < fields.size(); f += 2) {
          if (text_of(fields[f]) != "notes") out += fields[f] + fields[f + 1];
        }
      }
    } else if (i == subcommands) {
      std::vector<std::string> shared;
      for (const std::string& each : elements(parts[i])) {
        if (!of_one.contains(text_of(elements(each).front()))) {
          shared.push_back(command_facts(each, of_one));
        }
      }
      std::sort(shared.begin(), shared.end());
      out += joined(shared);
    } else {
      out += parts[i];
    }
  }
  return out.empty() ? std::string(reply) : out;
}

std::string commands_facts(std::string_view reply, const CommandNames& of_one, bool asked_for) {
  std::vector<std::string> facts;
  for (const std::string& each : elements(reply)) {
    const std::vector<std::string> parts = elements(each);
    if (!parts.empty() && of_one.contains(text_of(parts.front()))) continue;
    facts.push_back(command_facts(each, of_one));
  }
  // Of all commands the order is the server's own.
  if (!asked_for) std::sort(facts.begin(), facts.end());
  return joined(facts);
}

std::string names_of_both(std::string_view reply, const CommandNames& of_one) {
  std::vector<std::string> names;
  for (const std::string& bulk : elements(reply)) {
    if (!of_one.contains(text_of(bulk))) names.push_back(bulk);
  }
  std::sort(names.begin(), names.end());
  return reply[0] + joined(names);
}

// Lines of CLIENT LIST: what a client has done and is, without numbers, places and buffers.
std::string clients_facts(std::string_view reply) {
  constexpr std::string_view compared[] = {"name", "db",  "sub",  "psub",
                                           "ssub", "cmd", "user", "resp"};
  std::vector<std::string> lines;
  const std::string text = text_of(reply);
  for (const std::string_view line : split(text, '\n')) {
    std::string facts;
    for (const std::string_view field : split(line, ' ')) {
      const std::string_view name = field.substr(0, field.find('='));
      if (name == "multi") {
        // Not how many: Redis queues no more when a watched key has changed.
        facts.append(field == "multi=-1" ? field : "multi=some").append(" ");
        continue;
      }
      if (name == "flags") {
        // Not "d": whether a watched key has changed is found out by EXEC.
        std::string flags(field);
        std::erase(flags, 'd');
        facts.append(flags == "flags=" ? "flags=N" : flags).append(" ");
        continue;
      }
      if (std::find(std::begin(compared), std::end(compared), name) != std::end(compared)) {
        facts.append(field).append(" ");
      }
    }
    lines.push_back(facts + "\n");
  }
  std::sort(lines.begin(), lines.end());
  return joined(lines);
}

// Parameters that both have, but for the values that say where and how a server was started.
std::string parameters(std::string_view reply, std::string_view other) {
  constexpr std::string_view own_values[] = {"appendonly",
                                             "auto-aof-rewrite-min-size",
                                             "bind",
                                             "client-output-buffer-limit",
                                             "dir",
                                             "io-threads",
                                             "logfile",
                                             "loglevel",
                                             "maxmemory-clients",
                                             "pidfile",
                                             "port",
                                             "save",
                                             "timeout",
                                             "unixsocket"};
  const std::vector<std::string> of_other = elements(other);
  std::vector<std::string> out;
  const std::vector<std::string> parts = elements(reply);
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
    const std::string name = text_of(parts[i]);
    bool of_both = false;
    for (std::size_t j = 0; j + 1 < of_other.size(); j += 2) of_both |= of_other[j] == parts[i];
    const bool own_value =
        std::find(std::begin(own_values), std::end(own_values), name) != std::end(own_values);
    if (of_both) out.push_back(parts[i] + (own_value ? "" : parts[i + 1]));
  }
  std::sort(out.begin(), out.end());
  return reply[0] + joined(out);
}

// A user, or lines of ACL LIST: without the rules on commands, which Redis makes from what is
// allowed in the end and kvs keeps as they were given.
std::string without_command_rules(std::string_view words) {
  std::string out;
  for (const std::string_view word : split(words, ' ')) {
    const std::string_view rule = word.substr(word.starts_with('(') ? 1 : 0);
    const bool ends = word.ends_with(')');
    if (rule.starts_with('+') || rule.starts_with('-')) {
      out += ends ? ") " : "";
    } else {
      out.append(word).append(" ");
    }
  }
  return out;
}

std::string user_facts(std::string_view reply) {
  std::string out(reply.substr(0, 1));
  const std::vector<std::string> parts = elements(reply);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string before = i > 0 ? text_of(parts[i - 1]) : "";
    if (before == "commands") continue;
    if (before != "selectors") {
      out += parts[i];
      continue;
    }
    for (const std::string& selector : elements(parts[i])) out += without(selector, {"commands"});
  }
  return out;
}

std::string user_lines(std::string_view reply) {
  std::vector<std::string> lines;
  for (const std::string& bulk : elements(reply)) {
    lines.push_back(without_command_rules(text_of(bulk)));
  }
  return joined(lines);
}

std::string log_entries(std::string_view reply) {
  std::string out(reply.substr(0, reply.find('\n')));
  for (const std::string& entry : elements(reply)) {
    out += without(entry, {"age-seconds", "client-info"});
  }
  return out;
}

std::string first_and_last_lines(std::string_view reply) {
  const std::vector<std::string> lines = elements(reply);
  if (lines.size() < 3) return std::string(reply);
  return lines.front() + lines[lines.size() - 2] + lines.back();
}

// All keys at once, in the order of none.
bool scanned_all(const Request& words, std::string_view reply) {
  const std::vector<std::string> parts = elements(reply);
  return words.size() > 1 && words[1] == "0" && parts.size() == 2 && parts[0] == "$1\r\n0\r\n";
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::vector<std::string> elements(std::string_view reply) {
  std::vector<std::string> out;
  if (reply.empty() || std::string_view("*~>%").find(reply[0]) == std::string_view::npos)
    return out;
  reply.remove_prefix(std::min(reply.find("\r\n") + 2, reply.size()));
  while (!reply.empty()) {
    const auto size = reply_size(reply);
    if (!size) break;
    out.emplace_back(reply.substr(0, *size));
    reply.remove_prefix(*size);
  }
  return out;
}

std::string text_of(std::string_view bulk) {
  if (bulk.empty() || bulk.starts_with("$-1")) return {};
  const std::size_t prefix = bulk[0] == '=' ? 4 : 0;  // "txt:"
  if (bulk[0] != '$' && bulk[0] != '=') return {};
  bulk.remove_prefix(bulk.find("\r\n") + 2 + prefix);
  bulk.remove_suffix(2);
  return std::string(bulk);
}

bool near(std::string_view a, std::string_view b, std::int64_t slack) {
  const auto x = integer_of(a);
  const auto y = integer_of(b);
  if (!x || !y) return false;
  if (*x < 0 || *y < 0) return *x == *y;
  return (*x > *y ? *x - *y : *y - *x) <= slack;
}

std::string facts_of(const Request& words, const std::string& reply, const std::string& redis,
                     const std::string& kvs, const CommandNames& of_one) {
  if (reply.empty() || reply[0] == '-') return reply;
  const GrammarRow* const row = row_of(words);
  switch (row == nullptr ? Compare::exactly : row->compare) {
    case Compare::exactly:
      return reply;
    case Compare::seconds:
      return near(redis, kvs, clock_slack_ms / 1000) ? redis : reply;
    case Compare::milliseconds:
      return near(redis, kvs, clock_slack_ms) ? redis : reply;
    case Compare::as_set:
      return sorted(reply);
    case Compare::scan:
      // A part of the keys may be any part, and so is what follows a cursor that nobody gave out.
      if (!scanned_all(words, redis) || !scanned_all(words, kvs)) return reply.substr(0, 4);
      return sorted(elements(reply)[1]);
    case Compare::presence:
      return reply[0] + std::string(is_null(reply) ? "null" : "something");
    case Compare::kind:
      return reply.substr(0, 1);
    case Compare::header:
      return reply.substr(0, reply.find('\r'));
    case Compare::hello:
      return without(reply, {"id", "version"});
    case Compare::help:
      return first_and_last_lines(reply);
    case Compare::names:
      return names_of_both(reply, of_one);
    case Compare::commands:
      return commands_facts(reply, of_one, words.size() > 2);
    case Compare::clients:
      return clients_facts(reply);
    case Compare::parameters:
      return parameters(reply, &reply == &redis ? kvs : redis);
    case Compare::user:
      return user_facts(reply);
    case Compare::users:
      return user_lines(reply);
    case Compare::refusals:
      return log_entries(reply);
    case Compare::almost:
      return near(redis, kvs, dead_keys_max) ? redis : reply;
  }
  return reply;
}

}  // namespace kvs::test

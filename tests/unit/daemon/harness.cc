#include "tests/unit/daemon/harness.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace kvs::daemon::test {

namespace {

std::string with_zero_bytes(std::string_view text) {
  constexpr std::string_view zero = "<00>";
  std::string bytes(text);
  for (std::size_t at = 0; (at = bytes.find(zero, at)) != std::string::npos; ++at) {
    bytes.replace(at, zero.size(), 1, '\0');
  }
  return bytes;
}

}  // namespace

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < line.size()) {
    if (line[at] == ' ') {
      ++at;
      continue;
    }
    const bool quoted = line[at] == '\'';
    if (quoted) ++at;
    const std::size_t end = std::min(line.find(quoted ? '\'' : ' ', at), line.size());
    words.push_back(with_zero_bytes(line.substr(at, end - at)));
    at = end + (quoted ? 1 : 0);
  }
  return words;
}

std::string shown(std::string_view reply) {
  std::string text;
  if (reply.ends_with("\r\n")) reply.remove_suffix(2);
  for (std::size_t i = 0; i < reply.size(); ++i) {
    if (reply.substr(i, 2) == "\r\n") {
      text += ' ';
      ++i;
    } else if (reply[i] == '\0') {
      text += "<00>";
    } else {
      text += reply[i];
    }
  }
  return text;
}

bool fits(std::string_view text, std::string_view pattern) {
  while (!pattern.empty()) {
    if (pattern.starts_with("%d")) {
      std::size_t digits = 0;
      while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) != 0) {
        ++digits;
      }
      if (digits == 0) return false;
      text.remove_prefix(digits);
      pattern.remove_prefix(2);
    } else {
      if (text.empty() || text.front() != pattern.front()) return false;
      text.remove_prefix(1);
      pattern.remove_prefix(1);
    }
  }
  return text.empty();
}

namespace {

std::unique_ptr<Engine> open_real_engine(const std::filesystem::path& directory) {
  const char* const name = std::getenv("KVS_TEST_ENGINE");
  if (name == nullptr) return nullptr;
  auto opened = open_engine(name, {.directory = directory});
  if (!opened) throw std::runtime_error(opened.error().message());
  return std::move(*opened);
}

}  // namespace

TestServer::TestServer(Config start, std::unique_ptr<Engine> given)
    : config(std::move(start)),
      real_engine(given ? std::move(given) : open_real_engine(directory.path())),
      commands({string_commands(),      counter_commands(),     generic_commands(),
                expiry_commands(),      scan_commands(),        connection_commands(),
                client_commands(),      server_commands(),      introspection_commands(),
                transaction_commands(), pubsub_commands(),      bitmap_commands(),
                conditional_commands(), subsequence_commands(), hyperloglog_commands(),
                dump_commands(),        script_commands(),      backup_commands(),
                kvs_commands(),         slowlog_commands(),     latency_commands(),
                memory_commands(),      operating_commands(),   acl_commands()}),
      settings(config),
      metrics(1),
      pubsub(settings),
      services{config,  commands, engine_in_use(), settings,   clients,  metrics,
               watches, turn,     pubsub,          operations, accounts, load_status} {}

namespace {

std::shared_ptr<ClientShared> new_client(TestServer& server) {
  const std::uint64_t id = server.clients.next_id();
  return std::shared_ptr<ClientShared>(
      new ClientShared{.id = id,
                       .address = "127.0.0.1:" + std::to_string(50000 + id),
                       .local_address = "127.0.0.1:4000",
                       .fd = 7,
                       .connected_at_ms = 1});
}

}  // namespace

TestClient::TestClient(TestServer& server) : server_(server), client_(new_client(server)) {
  client_.mailbox = std::make_shared<Mailbox>(nullptr, nullptr, client_.shared);
  client_.shared->mailbox = client_.mailbox;
  client_.account = server.accounts.default_account();
  client_.authenticated = server.accounts.default_is_open();
  server.clients.add(client_.shared, [] {});
}

TestClient::~TestClient() {
  drop_watches(client_, server_.watches);
  drop_subscriptions(client_, server_.pubsub);
  stop_tracking(client_, server_.operations.tracking);
  server_.clients.remove(client_.shared->id);
}

std::string TestClient::raw(const std::vector<std::string>& words) {
  const std::vector<std::string_view> args(words.begin(), words.end());
  const Request request = resolve_request(server_.services, *client_.shared, args);
  WorkerMetrics& metrics = server_.metrics.worker(0);
  client_.output.clear();
  Position position = 0;
  ran_inline_ =
      answer_inline(server_.services, metrics, client_, request, position) == Inline::answered;
  if (!ran_inline_) {
    BatchEntry entry;
    entry.client = &client_;
    entry.metrics = &metrics;
    entry.requests = std::span(&request, 1);
    BatchEntry* const entries[] = {&entry};
    run_batch(server_.services, entries);
    position = entry.position;
  }
  position_ = position;
  return client_.output;
}

std::string TestClient::pipeline(const std::vector<std::string>& lines) {
  std::vector<std::vector<std::string>> words;
  std::vector<std::vector<std::string_view>> args;
  std::vector<Request> requests(lines.size());
  for (const std::string& line : lines) words.push_back(words_of(line));
  for (const auto& w : words) args.emplace_back(w.begin(), w.end());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    requests[i] = resolve_request(server_.services, *client_.shared, args[i]);
  }
  client_.output.clear();
  position_ = 0;
  // What a batch puts off comes with the next one, as a connection does it.
  for (std::span<const Request> left = requests; !left.empty() && !client_.close_after_reply;) {
    BatchEntry entry;
    entry.client = &client_;
    entry.metrics = &server_.metrics.worker(0);
    entry.requests = left;
    BatchEntry* const entries[] = {&entry};
    run_batch(server_.services, entries);
    position_ = std::max(position_, entry.position);
    left = left.subspan(entry.executed);
  }
  return shown(client_.output);
}

}  // namespace kvs::daemon::test

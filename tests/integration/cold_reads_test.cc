// cold_reads_test.cc - values that are not in memory, through the whole program: every kind of
// request on them, both ways to the disk, beside compaction, damage and refusal.
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seed.h"
#include "tests/support/server_process.h"
#include "tests/support/temp_dir.h"

using namespace kvs::test;

namespace {

const std::array<std::string, 2> methods = {"io_uring", "pool"};

std::string info_field(Socket& socket, const std::string& name) {
  const std::string info = socket.command({"INFO", "everything"});
  const std::size_t at = info.find("\n" + name + ":");
  if (at == std::string::npos) return "(none)";
  const std::size_t begin = at + name.size() + 2;
  return info.substr(begin, info.find('\r', begin) - begin);
}

std::string bulk(const std::string& value) {
  return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}
std::string integer(std::size_t number) {
  return ":" + std::to_string(number) + "\r\n";
}
const std::string nil = "$-1\r\n";
const std::string ok = "+OK\r\n";

// One client with keys of its own, and what they should hold. Sends pipelines of random requests
// and knows every byte of the replies.
class ModelClient {
 public:
  ModelClient(const ServerProcess& server, std::string prefix, std::uint64_t seed)
      : socket_(server.connect({.timeout = std::chrono::seconds(60)})),
        prefix_(std::move(prefix)),
        random_(seed) {}

  // Returns what differs first, or nothing.
  std::string run(int pipelines) {
    for (int i = 0; i < pipelines; ++i) {
      std::string requests;
      std::string expected;
      for (auto count = 1 + random_() % 20; count > 0; --count) {
        if (random_() % 12 == 0) {
          add_transaction(requests, expected);
        } else {
          auto [request, reply] = step();
          requests += encode_request(request);
          expected += reply;
        }
      }
      socket_.send_all(requests);
      const std::string replies = socket_.read_exact(expected.size());
      if (replies == expected) continue;
      const auto at = std::mismatch(replies.begin(), replies.end(), expected.begin()).first;
      const auto offset = static_cast<std::size_t>(at - replies.begin());
      const std::size_t begin = offset < 60 ? 0 : offset - 60;
      return prefix_ + " pipeline " + std::to_string(i) + ": got '" + replies.substr(begin, 160) +
             "' expected '" + expected.substr(begin, 160) + "'";
    }
    return {};
  }

 private:
  struct Step {
    Request request;
    std::string reply;
  };

  std::string key() { return prefix_ + std::to_string(random_() % 60); }
  std::string value() {
    // Now and then one that is too long to be read beside the loop.
    const std::size_t size = random_() % 200 == 0  ? (1 << 20) + random_() % 300'000
                             : random_() % 10 == 0 ? random_() % 20'000
                                                   : random_() % 300;
    return std::string(size, static_cast<char>('a' + random_() % 26));
  }
  std::string show(const std::string& name) {
    const auto found = model_.find(name);
    return found == model_.end() ? nil : bulk(found->second);
  }

  Step step() {
    const std::string name = key();
    switch (random_() % 12) {
      case 0:
      case 1:
        return {{"SET", name, model_[name] = value()}, ok};
      case 2: {
        const std::string old = show(name);
        return {{"GETSET", name, model_[name] = value()}, old};
      }
      case 3: {
        const std::string old = show(name);
        model_.erase(name);
        return {{"GETDEL", name}, old};
      }
      case 4: {
        const std::string more(random_() % 50, 'z');
        model_[name] += more;
        return {{"APPEND", name, more}, integer(now_size(name))};
      }
      case 5: {
        Request request{"MGET"};
        std::string reply;
        const auto count = 1 + random_() % 10;
        for (unsigned i = 0; i < count; ++i) {
          request.push_back(key());
          reply += show(request.back());
        }
        return {request, "*" + std::to_string(count) + "\r\n" + reply};
      }
      case 6:
        return {{"STRLEN", name}, integer(now_size(name))};
      case 7: {
        const std::string other = key();
        const bool copied = model_.contains(name) && name != other && !model_.contains(other);
        if (name == other) return {{"EXISTS", name}, integer(model_.contains(name) ? 1 : 0)};
        if (copied) model_[other] = model_[name];
        return {{"COPY", name, other}, integer(copied ? 1 : 0)};
      }
      default:
        return {{"GET", name}, show(name)};
    }
  }

  std::size_t now_size(const std::string& name) {
    const auto found = model_.find(name);
    return found == model_.end() ? 0 : found->second.size();
  }

  void add_transaction(std::string& requests, std::string& expected) {
    const auto count = 1 + random_() % 5;
    requests += encode_request({"MULTI"});
    expected += ok;
    std::string replies;
    for (unsigned i = 0; i < count; ++i) {
      auto [request, reply] = step();
      requests += encode_request(request);
      expected += "+QUEUED\r\n";
      replies += reply;
    }
    requests += encode_request({"EXEC"});
    expected += "*" + std::to_string(count) + "\r\n" + replies;
  }

  Socket socket_;
  const std::string prefix_;
  std::mt19937_64 random_;
  std::map<std::string, std::string> model_;
};

int damage(const std::filesystem::path& dir, const std::string& text) {
  int places = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".log") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    file.clear();
    const std::size_t at = bytes.find(text);
    if (at == std::string::npos) continue;
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(bytes[at] ^ 1));
    ++places;
  }
  return places;
}

}  // namespace

TEST_CASE("clients that read and write cold values get what a model says, while records move") {
  const std::uint64_t seed = test_seed("cold_reads");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int pipelines = 60;
#else
  constexpr int pipelines = 250;
#endif
  struct Variant {
    std::string cache;
    std::string sync;
  };
  for (const std::string& method : methods) {
    for (const Variant& variant : {Variant{"0", "everysec"}, Variant{"64kb", "always"}}) {
      CAPTURE(method);
      CAPTURE(variant.cache);
      ServerProcess server({.arguments = {"--cold-reads", method, "--cache-size", variant.cache,
                                          "--sync", variant.sync, "--segment-size", "64kb",
                                          "--space-amplification", "110", "--threads", "2"}});
      std::array<std::string, 4> problems;
      {
        std::vector<std::thread> clients;
        for (std::size_t i = 0; i < problems.size(); ++i) {
          clients.emplace_back([&, i] {
            try {
              problems[i] =
                  ModelClient(server, std::string(1, static_cast<char>('A' + i)), seed + i)
                      .run(pipelines);
            } catch (const std::exception& failed) {
              problems[i] = failed.what();
            }
          });
        }
        for (std::thread& client : clients) client.join();
      }
      for (const std::string& problem : problems) CHECK_MESSAGE(problem.empty(), problem);
      Socket socket = server.connect();
      CHECK(std::stoul(info_field(socket, "kvs_cold_reads")) > 100);
      CHECK(std::stoul(info_field(socket, "kvs_compactions")) > 0);
      CHECK(info_field(socket, "kvs_corrupt_reads") == "0");
      // Where io_uring is refused, by a sandbox say, the pool does the same.
      if (info_field(socket, "kvs_cold_read_method") != method) {
        CHECK(server.log().find("cold reads use the pool") != std::string::npos);
      }
      CHECK(server.terminate() == 0);
    }
  }
}

TEST_CASE(
    "a damaged value that is read beside the loop is an error, and its neighbours are right") {
  for (const std::string& method : methods) {
    CAPTURE(method);
    ServerProcess server({.arguments = {"--cold-reads", method, "--cache-size", "0"}});
    Socket socket = server.connect();
    CHECK(socket.command({"SET", "good", "fine"}) == ok);
    CHECK(socket.command({"SET", "bad", "damaged-value"}) == ok);
    REQUIRE(damage(server.dir(), "damaged-value") == 1);
    socket.send_all(encode_request({"GET", "good"}) + encode_request({"GET", "bad"}) +
                    encode_request({"GET", "good"}) + encode_request({"APPEND", "bad", "x"}) +
                    encode_request({"APPEND", "good", "!"}) + encode_request({"GET", "good"}));
    CHECK(socket.read_reply() == bulk("fine"));
    CHECK(socket.read_reply().starts_with("-ERR corrupt record: corrupt segment "));
    CHECK(socket.read_reply() == bulk("fine"));
    CHECK(socket.read_reply().starts_with("-ERR corrupt record: corrupt segment "));
    CHECK(socket.read_reply() == ":5\r\n");
    CHECK(socket.read_reply() == bulk("fine!"));
    CHECK(socket.command({"MGET", "good", "bad"}).starts_with("-ERR corrupt record"));
    CHECK(std::stoul(info_field(socket, "kvs_cold_reads")) > 0);
  }
}

TEST_CASE("a server that may not use io_uring says so once and reads through the pool") {
  const char* const strace = "/usr/bin/strace";
  if (!std::filesystem::exists(strace)) {
    MESSAGE("skipped: no strace");
    return;
  }
  const TempDir traces;
  ServerProcess server(
      {.arguments = {"--cold-reads", "io_uring", "--cache-size", "0"},
       .launcher = {strace, "-D", "-f", "-qq", "-o", (traces.path() / "trace").string(), "-e",
                    "trace=io_uring_setup", "-e", "inject=io_uring_setup:error=EPERM"}});
  Socket socket = server.connect();
  CHECK(socket.command({"SET", "key", "value"}) == ok);
  CHECK(socket.command({"GET", "key"}) == bulk("value"));
  CHECK(info_field(socket, "kvs_cold_read_method") == "pool");
  CHECK(info_field(socket, "kvs_cold_reads") == "1");
  const std::string log = server.log();
  const std::size_t at = log.find("cold reads use the pool: io_uring: Operation not permitted");
  REQUIRE(at != std::string::npos);
  CHECK(log.find("cold reads use the pool", at + 1) == std::string::npos);
}

TEST_CASE("a pipeline that names one cold value a thousand times is answered in order") {
  for (const std::string& method : methods) {
    CAPTURE(method);
    ServerProcess server({.arguments = {"--cold-reads", method, "--cache-size", "0"}});
    Socket socket = server.connect();
    const std::string value(10'000, 'v');
    CHECK(socket.command({"SET", "a", value}) == ok);
    CHECK(socket.command({"SET", "n", "0"}) == ok);
    std::string requests;
    std::string expected;
    for (int i = 1; i <= 3000; ++i) {
      requests += encode_request({"GET", "a"});
      expected += bulk(value);
      if (i % 100 != 0) continue;
      requests += encode_request({"INCR", "n"});
      expected += ":" + std::to_string(i / 100) + "\r\n";
    }
    std::thread sender([&] { socket.send_all(requests); });
    const std::string replies = socket.read_exact(expected.size());
    sender.join();
    CHECK(replies == expected);
  }
}

TEST_CASE("a server stops while cold reads are under way, and what was answered is right") {
  for (const std::string& method : methods) {
    CAPTURE(method);
    ServerProcess server({.arguments = {"--cold-reads", method, "--cache-size", "0"}});
    Socket socket = server.connect();
    const std::string value(5000, 'v');
    CHECK(socket.command({"SET", "key", value}) == ok);
    std::vector<Socket> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(server.connect());
    std::string requests;
    for (int i = 0; i < 100; ++i) requests += encode_request({"GET", "key"});
    for (Socket& client : clients) client.send_all(requests);
    CHECK(server.terminate() == 0);
    for (Socket& client : clients) {
      const std::string replies = client.read_until_close();
      const std::string one = bulk(value);
      CHECK(replies.size() % one.size() == 0);
      for (std::size_t at = 0; at < replies.size(); at += one.size()) {
        CHECK(replies.compare(at, one.size(), one) == 0);
      }
    }
  }
}

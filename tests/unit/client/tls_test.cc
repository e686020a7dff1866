// tls_test.cc - TLS against redis-server and kvs-server, with certificates of the test's own, and
// against servers that end it at every stage.
#include "protocol/client/tls.h"

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "protocol/client/sync_client.h"
#include "tests/support/certificates.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"
#include "tests/unit/client/fixture.h"
#include "tests/unit/client/redis_server.h"

using kvs::Code;
using kvs::Result;
using kvs::client::Client;
using kvs::client::ConnectOptions;
using kvs::client::Reconnect;
using kvs::client::run;
using kvs::client::SyncClient;
using kvs::client::TlsOptions;
using kvs::test::Certificates;
using kvs::test::certificates;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using kvs::test::RedisServer;
using namespace std::chrono_literals;

namespace {

// Both servers have the same options for it.
enum class Kind : std::uint8_t { redis, kvs };

// A server with TLS alone; `authenticate` is its tls-auth-clients.
class TlsServer {
 public:
  explicit TlsServer(Kind kind, const std::string& authenticate = "no",
                     const std::string& name = "server",
                     const std::string& protocols = "TLSv1.2 TLSv1.3") {
    const std::uint16_t port = kvs::test::free_port();
    auto arguments = kvs::test::tls_arguments(port, authenticate, name);
    arguments.insert(arguments.end(), {"--tls-protocols", protocols});
    if (kind == Kind::redis) {
      arguments.insert(arguments.end(), {"--port", "0"});
      redis_.emplace(arguments, port);
      address_ = redis_->address();
    } else {
      arguments.erase(arguments.begin(), arguments.begin() + 2);  // it has a port of its own
      kvs_.emplace(kvs::test::ServerOptions{.arguments = arguments,
                                            .tls = kvs::test::TlsClient{.certificate = "client"}});
      address_ = {"127.0.0.1", kvs_->port()};
    }
  }
  void restart() {
    if (redis_) return redis_->restart();
    kvs_->kill();
    kvs_->restart();
  }
  const kvs::client::SocketAddress& address() const { return address_; }

 private:
  kvs::client::SocketAddress address_;
  std::optional<RedisServer> redis_;
  std::optional<kvs::test::ServerProcess> kvs_;
};

ConnectOptions trusting(TlsOptions tls = {}) {
  if (tls.ca_file.empty()) tls.ca_file = certificates().path("ca.crt");
  return {.connect_timeout = 10s, .tls = tls};
}

// Those that can be tested on this machine.
std::vector<Kind> kinds() {
  if (!Certificates::available()) {
    MESSAGE("no openssl here: not tested");
    return {};
  }
  if (RedisServer::available()) return {Kind::redis, Kind::kvs};
  MESSAGE("no redis-server here: tested with kvs-server alone");
  return {Kind::kvs};
}

// Passes bytes between one client and a server, and closes both after `bytes_max` of the server's.
class CuttingProxy {
 public:
  CuttingProxy(const kvs::client::SocketAddress& server, std::size_t bytes_max)
      : fake_([this, server, bytes_max](Peer& peer) { pass(peer, server, bytes_max); }) {}
  const kvs::client::SocketAddress& address() const { return fake_.address(); }
  std::size_t passed() const { return passed_; }

 private:
  void pass(Peer& peer, const kvs::client::SocketAddress& server, std::size_t bytes_max) {
    kvs::test::Socket upstream({.port = server.port});
    const auto deadline = std::chrono::steady_clock::now() + kvs::test::patience;
    while (std::chrono::steady_clock::now() < deadline) {
      const std::optional<std::string> from_client = peer.read_some(1ms);
      if (!from_client) return;
      if (!from_client->empty()) upstream.send_all(*from_client);
      while (!upstream.silent_for(1ms)) {
        std::string byte;
        try {
          byte = upstream.read_exact(1);
        } catch (const kvs::test::SocketError&) {
          return;
        }
        if (passed_ == bytes_max) return;
        ++passed_;
        peer.send(byte);
      }
    }
  }
  std::atomic<std::size_t> passed_ = 0;
  FakeServer fake_;
};

}  // namespace

TEST_CASE("commands, pipelines and large values go through TLS 1.2 and 1.3") {
  for (const Kind kind : kinds()) {
    CAPTURE(static_cast<int>(kind));
    for (const std::string version : {"TLSv1.2", "TLSv1.3"}) {
      CAPTURE(version);
      TlsServer server(kind, "no", "server", version);
      Result<SyncClient> client = SyncClient::connect(server.address(), trusting());
      REQUIRE(client);
      CHECK(*client->set("k", "v"));
      CHECK(**client->get("k") == "v");
      const std::string value(std::size_t{8} << 20, 'x');
      CHECK(*client->set("large", value));
      CHECK((**client->get("large") == value));
      auto pipeline = client->pipeline();
      for (int number = 0; number < 5000; ++number) pipeline.increment("n");
      CHECK(client->run(pipeline)->back()->integer == 5000);
    }
  }
}

TEST_CASE("a server is trusted only with the right CA and the right name") {
  for (const Kind kind : kinds()) {
    CAPTURE(static_cast<int>(kind));
    TlsServer server(kind);
    const auto connect = [&](TlsOptions tls) {
      return SyncClient::connect(server.address(), trusting(std::move(tls)));
    };
    CHECK(connect({}));  // its IP address is in the certificate
    CHECK(connect({.server_name = "kvs.test"}));
    CHECK(failed_with(connect({.server_name = "other.test"}), Code::unreachable,
                      "hostname mismatch"));
    CHECK(failed_with(connect({.ca_file = certificates().path("other.crt")}), Code::unreachable,
                      "TLS: certificate verify failed"));
    CHECK(connect(
        {.ca_file = certificates().path("other.crt"), .verify = TlsOptions::Verify::nothing}));
    // The system's CAs do not know ours.
    CHECK(failed_with(SyncClient::connect(server.address(), {.tls = TlsOptions{}}),
                      Code::unreachable, "verify failed"));
    TlsServer elsewhere(kind, "no", "elsewhere");
    CHECK(failed_with(SyncClient::connect(elsewhere.address(), trusting()), Code::unreachable,
                      "IP address mismatch"));
  }
}

TEST_CASE("a client certificate is shown where one is asked for") {
  for (const Kind kind : kinds()) {
    CAPTURE(static_cast<int>(kind));
    TlsServer server(kind, "yes");
    Result<SyncClient> known = SyncClient::connect(
        server.address(), trusting({.certificate_file = certificates().path("client.crt"),
                                    .key_file = certificates().path("client.key")}));
    REQUIRE(known);
    CHECK(*known->set("k", "v"));
    // TLS 1.3 refuses only after the client's handshake is over: then it is the first command's
    // error.
    Result<SyncClient> unknown = SyncClient::connect(server.address(), trusting());
    CHECK((!unknown || !unknown->get("k")));
  }
}

TEST_CASE("files that cannot be used are refused by name, before anything is sent") {
  for (const TlsOptions& tls :
       {TlsOptions{.ca_file = "/no/such/ca"}, TlsOptions{.certificate_file = "/no/such/cert"},
        TlsOptions{.ca_file = "/etc/hostname"}}) {
    const auto client = SyncClient::connect(kvs::test::deserted_address(), {.tls = tls});
    CHECK(failed_with(client, Code::invalid, "TLS: cannot use the "));
  }
  if (!Certificates::available()) return;
  CHECK(failed_with(
      SyncClient::connect(kvs::test::deserted_address(),
                          trusting({.certificate_file = certificates().path("client.crt"),
                                    .key_file = certificates().path("server.key")})),
      Code::invalid, "server.key"));
}

TEST_CASE("a connection that ends after any byte of the handshake or of a reply is an error") {
  for (const Kind kind : kinds()) {
    CAPTURE(static_cast<int>(kind));
    TlsServer server(kind);
    Result<SyncClient> direct = SyncClient::connect(server.address(), trusting());
    REQUIRE(direct);
    REQUIRE(*direct->set("k", "value"));
    std::size_t failed = 0;
    std::size_t cut = 0;
    for (;; cut += 1 + cut / 13) {
      CAPTURE(cut);
      CuttingProxy proxy(server.address(), cut);
      Result<SyncClient> client = SyncClient::connect(proxy.address(), trusting());
      if (!client) {
        CHECK((client.error().code() == Code::unreachable));
        ++failed;
        continue;
      }
      const auto value = client->get("k");
      if (value) {
        CHECK(**value == "value");
        break;
      }
      ++failed;
    }
    CHECK(failed > 20);
    CHECK(cut < 10'000);
  }
}

TEST_CASE("a server that does not speak TLS, or says nothing, is an error in time") {
  for (const std::string answer :
       {"-ERR unknown command\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"}) {
    FakeServer server([&](Peer& peer) {
      peer.read(50);
      peer.send(answer);
      peer.wait_for_close();
    });
    CHECK(failed_with(SyncClient::connect(server.address(), {.tls = TlsOptions{}}),
                      Code::unreachable, "TLS"));
  }
  FakeServer silent([](Peer& peer) { peer.wait_for_close(); });
  CHECK(failed_with(
      SyncClient::connect(silent.address(), {.connect_timeout = 100ms, .tls = TlsOptions{}}),
      Code::unreachable, "no answer within 100 ms"));
}

TEST_CASE("a lost TLS connection is made again") {
  for (const Kind kind : kinds()) {
    CAPTURE(static_cast<int>(kind));
    TlsServer server(kind);
    ConnectOptions options = trusting();
    options.reconnect = Reconnect{.first_delay = 5ms, .delay_max = 50ms};
    options.wait_while_down = 10s;
    Result<SyncClient> client = SyncClient::connect(server.address(), options);
    REQUIRE(client);
    server.restart();
    auto stored = client->set("k", "v");
    if (!stored) stored = client->set("k", "v");
    REQUIRE(stored);
    CHECK(**client->get("k") == "v");
  }
}

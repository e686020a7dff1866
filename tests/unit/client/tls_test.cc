// tls_test.cc - TLS against redis-server, with certificates of the test's own, and against servers
// that end it at every stage.
#include "protocol/client/tls.h"

#include <atomic>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "protocol/client/sync_client.h"
#include "tests/support/run_program.h"
#include "tests/support/socket.h"
#include "tests/support/temp_dir.h"
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
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;
using kvs::test::RedisServer;
using namespace std::chrono_literals;

namespace {

// A CA, a server and a client that it vouches for, and another CA that vouches for nobody.
class Certificates {
 public:
  Certificates() {
    make_ca("ca");
    make_ca("other");
    make("server", "subjectAltName=IP:127.0.0.1,DNS:kvs.test\n");
    make("client", "keyUsage=digitalSignature\n");
    make("elsewhere", "subjectAltName=IP:10.9.8.7,DNS:elsewhere.test\n");
  }
  std::string path(const std::string& name) const { return (dir_.path() / name).string(); }

 private:
  void openssl(std::vector<std::string> arguments) {
    const auto result =
        kvs::test::run_program({.program = "/usr/bin/openssl", .arguments = std::move(arguments)});
    if (result.exit_code != 0) throw std::runtime_error("openssl: " + result.err);
  }
  void make_ca(const std::string& name) {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=" + name, "-keyout", path(name + ".key"), "-out",
             path(name + ".crt")});
  }
  void make(const std::string& name, const std::string& extensions) {
    openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             "/CN=" + name, "-keyout", path(name + ".key"), "-out", path(name + ".csr")});
    std::ofstream(path(name + ".ext")) << extensions;
    openssl({"x509", "-req", "-days", "2", "-in", path(name + ".csr"), "-CA", path("ca.crt"),
             "-CAkey", path("ca.key"), "-CAcreateserial", "-extfile", path(name + ".ext"), "-out",
             path(name + ".crt")});
  }

  kvs::test::TempDir dir_;
};

Certificates& certificates() {
  static Certificates all;
  return all;
}

// redis-server with TLS alone; `authenticate` is its tls-auth-clients.
class TlsRedis {
 public:
  explicit TlsRedis(const std::string& authenticate = "no", const std::string& name = "server",
                    const std::string& protocols = "TLSv1.2 TLSv1.3")
      : port_(kvs::test::free_port()),
        server_({"--port", "0", "--tls-port", std::to_string(port_), "--tls-cert-file",
                 certificates().path(name + ".crt"), "--tls-key-file",
                 certificates().path(name + ".key"), "--tls-ca-cert-file",
                 certificates().path("ca.crt"), "--tls-auth-clients", authenticate,
                 "--tls-protocols", protocols},
                port_) {}
  RedisServer& server() { return server_; }
  const kvs::client::SocketAddress& address() const { return server_.address(); }

 private:
  std::uint16_t port_;
  RedisServer server_;
};

ConnectOptions trusting(TlsOptions tls = {}) {
  if (tls.ca_file.empty()) tls.ca_file = certificates().path("ca.crt");
  return {.connect_timeout = 10s, .tls = tls};
}

bool available() {
  return RedisServer::available() && std::filesystem::exists("/usr/bin/openssl");
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
  if (!available()) {
    MESSAGE("no redis-server or openssl here: not tested");
    return;
  }
  for (const std::string version : {"TLSv1.2", "TLSv1.3"}) {
    CAPTURE(version);
    TlsRedis redis("no", "server", version);
    Result<SyncClient> client = SyncClient::connect(redis.address(), trusting());
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

TEST_CASE("a server is trusted only with the right CA and the right name") {
  if (!available()) {
    MESSAGE("no redis-server or openssl here: not tested");
    return;
  }
  TlsRedis redis;
  const auto connect = [&](TlsOptions tls) {
    return SyncClient::connect(redis.address(), trusting(std::move(tls)));
  };
  CHECK(connect({}));  // its IP address is in the certificate
  CHECK(connect({.server_name = "kvs.test"}));
  CHECK(
      failed_with(connect({.server_name = "other.test"}), Code::unreachable, "hostname mismatch"));
  CHECK(failed_with(connect({.ca_file = certificates().path("other.crt")}), Code::unreachable,
                    "TLS: certificate verify failed"));
  CHECK(connect(
      {.ca_file = certificates().path("other.crt"), .verify = TlsOptions::Verify::nothing}));
  // The system's CAs do not know ours.
  CHECK(failed_with(SyncClient::connect(redis.address(), {.tls = TlsOptions{}}), Code::unreachable,
                    "verify failed"));
  TlsRedis elsewhere("no", "elsewhere");
  CHECK(failed_with(SyncClient::connect(elsewhere.address(), trusting()), Code::unreachable,
                    "IP address mismatch"));
}

TEST_CASE("a client certificate is shown where one is asked for") {
  if (!available()) {
    MESSAGE("no redis-server or openssl here: not tested");
    return;
  }
  TlsRedis redis("yes");
  Result<SyncClient> known = SyncClient::connect(
      redis.address(), trusting({.certificate_file = certificates().path("client.crt"),
                                 .key_file = certificates().path("client.key")}));
  REQUIRE(known);
  CHECK(*known->set("k", "v"));
  // TLS 1.3 refuses only after the client's handshake is over: then it is the first command's
  // error.
  Result<SyncClient> unknown = SyncClient::connect(redis.address(), trusting());
  CHECK((!unknown || !unknown->get("k")));
}

TEST_CASE("files that cannot be used are refused by name, before anything is sent") {
  for (const TlsOptions& tls :
       {TlsOptions{.ca_file = "/no/such/ca"}, TlsOptions{.certificate_file = "/no/such/cert"},
        TlsOptions{.ca_file = "/etc/hostname"}}) {
    const auto client = SyncClient::connect(kvs::test::deserted_address(), {.tls = tls});
    CHECK(failed_with(client, Code::invalid, "TLS: cannot use the "));
  }
  if (!available()) return;
  CHECK(failed_with(
      SyncClient::connect(kvs::test::deserted_address(),
                          trusting({.certificate_file = certificates().path("client.crt"),
                                    .key_file = certificates().path("server.key")})),
      Code::invalid, "server.key"));
}

TEST_CASE("a connection that ends after any byte of the handshake or of a reply is an error") {
  if (!available()) {
    MESSAGE("no redis-server or openssl here: not tested");
    return;
  }
  TlsRedis redis;
  Result<SyncClient> direct = SyncClient::connect(redis.address(), trusting());
  REQUIRE(direct);
  REQUIRE(*direct->set("k", "value"));
  std::size_t failed = 0;
  std::size_t cut = 0;
  for (;; cut += 1 + cut / 13) {
    CAPTURE(cut);
    CuttingProxy proxy(redis.address(), cut);
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
  if (!available()) {
    MESSAGE("no redis-server or openssl here: not tested");
    return;
  }
  TlsRedis redis;
  ConnectOptions options = trusting();
  options.reconnect = Reconnect{.first_delay = 5ms, .delay_max = 50ms};
  options.wait_while_down = 10s;
  Result<SyncClient> client = SyncClient::connect(redis.address(), options);
  REQUIRE(client);
  redis.server().restart();
  auto stored = client->set("k", "v");
  if (!stored) stored = client->set("k", "v");
  REQUIRE(stored);
  CHECK(**client->get("k") == "v");
}

// tls_test.cc - TLS of the server: who is let in, certificates that change, and clients that cut,
// stall, flood or leave at any byte.
//
// Well-behaved clients are OpenSSL on a socket (support/tls_layer.h). Ill-behaved ones need every
// byte in their own hands: a tls::Session over a plain socket.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <openssl/ssl.h>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/tls/session.h"
#include "tests/integration/bystander.h"
#include "tests/support/certificates.h"
#include "tests/support/request.h"
#include "tests/support/run_program.h"
#include "tests/support/server_process.h"
#include "tests/support/socket.h"

using namespace std::chrono_literals;

namespace kvs::test {
namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

bool available() {
  if (!Certificates::available()) MESSAGE("no openssl here: not tested");
  return Certificates::available();
}

ServerOptions with_tls(Words arguments = {}, TlsClient client = {.ca = "ca"}) {
  return {.arguments = std::move(arguments), .tls = std::move(client)};
}

std::string file(const std::string& name) {
  return certificates().path(name);
}

// TLS 1.3 refuses a client only after the client's handshake is over.
bool lets_in(const ServerProcess& server, const TlsClient& client) {
  try {
    return server.connect({.tls = client}).command({"PING"}) == pong;
  } catch (const SocketError&) {
    return false;
  }
}

std::string peer_name(const Socket& socket) {
  X509* const certificate = SSL_get0_peer_certificate(socket.tls()->raw());
  char name[64] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return name;
}

// A client whose bytes go where the test says. Its requests follow each other in one stream, of
// which position() counts what has been sent.
class RawClient {
 public:
  explicit RawClient(const ServerProcess& server)
      : socket_({.port = server.port()}),
        session_(tls::Session::to_server(context(), "127.0.0.1", "")) {}

  // Shakes hands, sends `request` and returns the first `size` bytes of the replies. The stream is
  // cut in two at position `cut`, with a pause between; 0: not at all.
  std::string exchange(std::string_view request, std::size_t size, std::size_t cut) {
    while (!is_established()) {
      send(cut);
      feed();
    }
    CHECK(session_->encrypt(request));
    send(cut);
    std::string replies;
    while (replies.size() < size) {
      char record[tls::record_bytes_max];
      const auto bytes = session_->decrypt(record);
      REQUIRE_MESSAGE(bytes, bytes.error().message());
      if (*bytes == 0) feed();
      replies.append(record, *bytes);
    }
    return replies;
  }
  // Sends the first `size` bytes of that stream and no more; false: it is not that long.
  bool send_only(std::string_view request, std::size_t size) {
    limit_ = size;
    while (position_ < limit_ && !is_established()) {
      send(0);
      if (position_ < limit_) feed();
    }
    if (position_ < limit_) CHECK(session_->encrypt(request));
    send(0);
    return position_ == limit_;
  }
  std::size_t position() const { return position_; }
  Socket& socket() { return socket_; }

 private:
  static std::shared_ptr<const tls::Context> context() {
    static const auto made = tls::Context::of_client({.files = {.ca_file = file("ca.crt")}});
    return *made;
  }
  bool is_established() {
    const auto done = session_->shake_hands();
    REQUIRE_MESSAGE(done, done.error().message());
    return *done;
  }
  void send(std::size_t cut) {
    std::string bytes;
    bytes.swap(session_->output());
    bytes.resize(std::min(bytes.size(), limit_ - position_));
    if (cut > position_ && cut < position_ + bytes.size()) {
      socket_.send_all(bytes.substr(0, cut - position_));
      std::this_thread::sleep_for(2ms);
      socket_.send_all(bytes.substr(cut - position_));
    } else {
      socket_.send_all(bytes);
    }
    position_ += bytes.size();
  }
  void feed() {
    read_ = socket_.read_some();
    REQUIRE(!read_.empty());
    session_->feed(read_);
  }

  Socket socket_;
  std::unique_ptr<tls::Session> session_;
  std::string read_;
  std::size_t position_ = 0;
  std::size_t limit_ = SIZE_MAX;
};

void reset(Socket& socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

// Waits until nobody but the one who asks is connected.
bool all_gone(Socket& client) {
  for (const auto end = Clock::now() + 20s; Clock::now() < end;) {
    const std::string info = client.command({"INFO", "clients"});
    if (info.find("connected_clients:1\r\n") != std::string::npos) return true;
    std::this_thread::sleep_for(20ms);
  }
  return false;
}

ProgramResult start_with(Words arguments, const TempDir& dir) {
  arguments.insert(arguments.end(),
                   {"--addr", "127.0.0.1:0", "--dir", (dir.path() / "data").string()});
  return run_program({.program = test_program("kvs-server"), .arguments = std::move(arguments)});
}

}  // namespace

TEST_CASE("TLS 1.2 and 1.3 are served on a port of their own, beside or instead of the plain one") {
  if (!available()) return;
  const std::uint16_t plain_port = free_port();
  const ServerProcess server(with_tls({"--addr", "127.0.0.1:" + std::to_string(plain_port)}));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Socket client = server.connect({.tls = TlsClient{.ca = "ca", .version = version}});
    CHECK(client.command({"SET", "k", "v"}) == "+OK\r\n");
    CHECK(client.command({"CLIENT", "LIST"})
              .find(" laddr=127.0.0.1:" + std::to_string(server.port()) + " ") !=
          std::string::npos);
  }
  Socket plain({.port = plain_port});
  CHECK(plain.command({"GET", "k"}) == "$1\r\nv\r\n");
  const std::string info = plain.command({"INFO", "server"});
  CHECK(info.find("tcp_port:" + std::to_string(plain_port) + "\r\n") != std::string::npos);
  CHECK(info.find("listener0:name=tcp,bind=127.0.0.1,port=" + std::to_string(plain_port)) !=
        std::string::npos);
  CHECK(info.find("listener1:name=tls,bind=127.0.0.1,port=" + std::to_string(server.port())) !=
        std::string::npos);
  CHECK(plain.command({"CONFIG", "GET", "tls-port"}).find(std::to_string(server.port())) !=
        std::string::npos);
  CHECK(plain.command({"CONFIG", "SET", "tls-port", "1"}).starts_with("-ERR CONFIG SET failed"));

  const ServerProcess alone(with_tls());
  CHECK(alone.log().find("listening on 127.0.0.1:" + std::to_string(alone.port()) + " (TLS)\n") !=
        std::string::npos);
  CHECK(alone.connect()
            .command({"INFO", "server"})
            .find("tcp_port:" + std::to_string(alone.port()) + "\r\nlistener0:name=tls,") !=
        std::string::npos);
}

TEST_CASE("clients must, may or need not show a certificate") {
  if (!available()) return;
  const TlsClient nobody{.ca = "ca"};
  const TlsClient known{.ca = "ca", .certificate = "client"};
  const TlsClient stranger{.ca = "ca", .certificate = "stranger"};
  const TlsClient expired{.ca = "ca", .certificate = "expired"};
  struct Row {
    std::string authenticate;
    bool nobody;
    bool strangers;
  };
  for (const Row& row :
       {Row{"yes", false, false}, Row{"optional", true, false}, Row{"no", true, true}}) {
    CAPTURE(row.authenticate);
    const ServerProcess server(with_tls({"--tls-auth-clients", row.authenticate}, known));
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CAPTURE(version);
      const auto let_in = [&](TlsClient client) {
        client.version = version;
        return lets_in(server, client);
      };
      CHECK(let_in(known));
      CHECK(let_in(nobody) == row.nobody);
      CHECK(let_in(stranger) == row.strangers);
      CHECK(let_in(expired) == row.strangers);
      CHECK(let_in(known));
    }
  }
  // The CA may stand in a directory.
  const TempDir directory;
  std::filesystem::copy(file("ca.crt"), directory.path() / "ca.crt");
  REQUIRE(run_program(
              {.program = "/usr/bin/openssl", .arguments = {"rehash", directory.path().string()}})
              .exit_code == 0);
  const ServerProcess server(with_tls({"--tls-auth-clients", "yes", "--tls-ca-cert-file", "",
                                       "--tls-ca-cert-dir", directory.path().string()},
                                      known));
  CHECK_FALSE(lets_in(server, nobody));
  CHECK_FALSE(lets_in(server, stranger));
}

TEST_CASE("clients find out a server that they should not trust, and it goes on") {
  if (!available()) return;
  const TlsClient careless{};
  const ServerProcess server(with_tls({}, careless));
  CHECK(lets_in(server, {.ca = "ca"}));
  CHECK_THROWS_WITH_AS(server.connect({.tls = TlsClient{.ca = "other"}}),
                       doctest::Contains("certificate verify failed"), SocketError);
  const ServerProcess expired(with_tls(
      {"--tls-cert-file", file("expired.crt"), "--tls-key-file", file("expired.key")}, careless));
  CHECK_THROWS_WITH_AS(expired.connect({.tls = TlsClient{.ca = "ca"}}),
                       doctest::Contains("certificate verify failed"), SocketError);
  CHECK(lets_in(server, careless));
  CHECK(lets_in(expired, careless));
}

TEST_CASE("protocols and ciphers are those that the options name") {
  if (!available()) return;
  const TlsClient old{.ca = "ca", .version = TLS1_2_VERSION};
  const TlsClient current{.ca = "ca", .version = TLS1_3_VERSION};
  {
    const ServerProcess server(with_tls(
        {"--tls-protocols", "TLSv1.3", "--tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}));
    CHECK_FALSE(lets_in(server, old));
    const Socket client = server.connect({.tls = current});
    CHECK(std::string(SSL_get_cipher(client.tls()->raw())) == "TLS_CHACHA20_POLY1305_SHA256");
  }
  const std::string strong = "ECDHE-ECDSA-AES256-GCM-SHA384";
  const std::string weak = "ECDHE-ECDSA-AES128-GCM-SHA256";
  for (const bool own_order : {false, true}) {
    const ServerProcess server(
        with_tls({"--tls-protocols", "tlsv1.2", "--tls-ciphers", strong + ":" + weak,
                  "--tls-prefer-server-ciphers", own_order ? "yes" : "no"}));
    CHECK_FALSE(lets_in(server, current));
    TlsClient client = old;
    client.ciphers = weak + ":" + strong;
    const Socket socket = server.connect({.tls = client});
    CHECK(std::string(SSL_get_cipher(socket.tls()->raw())) == (own_order ? strong : weak));
    client.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305";
    CHECK_FALSE(lets_in(server, client));
  }
}

TEST_CASE(
    "what cannot be used is an error that names file and reason, before anything is touched") {
  if (!available()) return;
  const std::string port = std::to_string(free_port());
  const TempDir dir;
  const std::string locked = (dir.path() / "locked.key").string();
  REQUIRE(run_program({.program = "/usr/bin/openssl",
                       .arguments = {"ec", "-aes256", "-passout", "pass:secret", "-in",
                                     file("server.key"), "-out", locked}})
              .exit_code == 0);
  const Words usable = {"--tls-port",         port,
                        "--tls-auth-clients", "no",
                        "--tls-cert-file",    file("server.crt"),
                        "--tls-key-file",     file("server.key")};
  struct Row {
    Words arguments;
    std::string message;
  };
  const auto with = [&](Words more) {
    Words all = usable;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Row rows[] = {
      {{"--tls-port", port}, "tls-port needs a certificate: tls-cert-file"},
      {{"--tls-port", port, "--tls-cert-file", file("server.crt")},
       "tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir"},
      {with({"--tls-cert-file", "/no/such.crt"}),
       "the certificate '/no/such.crt': No such file or directory"},
      {with({"--tls-key-file", "/no/such.key"}),
       "the key '/no/such.key': No such file or directory"},
      {with({"--tls-key-file", file("client.key")}), "client.key': key values mismatch"},
      {with({"--tls-cert-file", "/etc/hostname"}), "'/etc/hostname': no start line"},
      {with({"--tls-key-file", locked}), "locked.key': "},
      {with({"--tls-key-file", locked, "--tls-key-file-pass", "wrong"}), "locked.key': "},
      {with({"--tls-ca-cert-file", "/no/such.ca"}),
       "the CA file '/no/such.ca': No such file or directory"},
      {with({"--tls-ca-cert-dir", "/no/such"}),
       "the CA directory '/no/such': No such file or directory"},
      {with({"--tls-protocols", "TLSv1.1"}),
       "the protocols 'TLSv1.1': expected TLSv1.2, TLSv1.3 or both"},
      {with({"--tls-ciphers", "NONSENSE"}), "the ciphers 'NONSENSE': no cipher match"},
      {with({"--tls-ciphersuites", "NONSENSE"}), "the ciphersuites 'NONSENSE': no cipher match"},
      {with({"--tls-auth-clients", "perhaps"}), "expected yes, no or optional, got 'perhaps'"},
      {with({"--tls-port", "65536"}), "--tls-port: expected a number from 0 to 65535"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    for (const bool only_check : {false, true}) {
      Words arguments = row.arguments;
      if (only_check) arguments.emplace_back("--check-config");
      const ProgramResult result = start_with(arguments, dir);
      CHECK(result.exit_code == 1);
      CHECK_MESSAGE(result.err.find(row.message) != std::string::npos, result.err);
    }
  }
  const auto same_port = run_program(
      {.program = test_program("kvs-server"), .arguments = with({"--addr", "127.0.0.1:" + port})});
  CHECK(same_port.err.find("tls-port: this is the port of addr") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir.path() / "data"));
  CHECK(start_with(with({"--check-config"}), dir).exit_code == 0);
  CHECK(
      start_with(
          with({"--check-config", "--tls-key-file", locked, "--tls-key-file-pass", "secret"}), dir)
          .exit_code == 0);
}

TEST_CASE("certificates change under a running server, and bad ones change nothing") {
  if (!available()) return;
  const TempDir dir;
  const auto certificate = dir.path() / "now.crt";
  const auto key = dir.path() / "now.key";
  const auto install = [&](const std::string& name) {
    const auto overwrite = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(file(name + ".crt"), certificate, overwrite);
    std::filesystem::copy_file(file(name + ".key"), key, overwrite);
  };
  install("server");
  const ServerProcess server(
      with_tls({"--tls-cert-file", certificate.string(), "--tls-key-file", key.string()}));
  Socket old = server.connect();
  const auto name_now = [&] { return peer_name(server.connect()); };
  CHECK(name_now() == "server");

  const auto hang_up_and_wait_for = [&](const std::string& text) {
    ::kill(server.pid(), SIGHUP);
    for (const auto end = Clock::now() + 10s; Clock::now() < end;) {
      if (server.log().find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  };
  install("elsewhere");
  CHECK(name_now() == "server");  // not before it is told
  CHECK(hang_up_and_wait_for("new connections get the certificates that are there now"));
  CHECK(name_now() == "elsewhere");
  std::ofstream(certificate) << "rubbish";
  CHECK(hang_up_and_wait_for("the old certificates stay: TLS: cannot use the certificate '" +
                             certificate.string() + "': no start line"));
  CHECK(name_now() == "elsewhere");

  const std::string unable = "Unable to update TLS configuration. Check server logs.\r\n";
  CHECK(old.command({"CONFIG", "SET", "tls-cert-file", certificate.string()}).ends_with(unable));
  // No name of a file comes from the wire.
  CHECK(old.command({"CONFIG", "SET", "tls-cert-file", file("server.crt")})
            .ends_with("can't set immutable config\r\n"));
  CHECK(old.command({"CONFIG", "SET", "maxclients", "77", "tls-protocols", "SSLv3"})
            .ends_with(unable));
  CHECK(old.command({"CONFIG", "GET", "maxclients"}).find("77") == std::string::npos);
  CHECK(old.command({"CONFIG", "GET", "tls-cert-file"}).find("now.crt") != std::string::npos);
  CHECK(name_now() == "elsewhere");
  install("server");
  CHECK(old.command({"CONFIG", "SET", "tls-cert-file", certificate.string()}) == "+OK\r\n");
  CHECK(name_now() == "server");
  CHECK(old.command({"CONFIG", "SET", "tls-auth-clients", "YES"}) == "+OK\r\n");
  CHECK_FALSE(lets_in(server, {.ca = "ca"}));
  CHECK(lets_in(server, {.ca = "ca", .certificate = "client"}));
  CHECK(peer_name(old) == "server");
  CHECK(old.command({"PING"}) == pong);
}

TEST_CASE("a client that comes back resumes its session, unless that is switched off") {
  if (!available()) return;
  for (const bool caching : {true, false}) {
    const ServerProcess server(with_tls({"--tls-session-caching", caching ? "yes" : "no"}));
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      const TlsClient client{.ca = "ca", .version = version};
      Socket first = server.connect({.tls = client});
      CHECK(first.command({"PING"}) == pong);  // tickets come before it
      const std::unique_ptr<SSL_SESSION, void (*)(SSL_SESSION*)> session(
          SSL_get1_session(first.tls()->raw()), SSL_SESSION_free);
      TlsClient again = client;
      again.resume = session.get();
      Socket second = server.connect({.tls = again});
      CHECK(second.command({"PING"}) == pong);
      CHECK((SSL_session_reused(second.tls()->raw()) == 1) == caching);
    }
  }
}

TEST_CASE("a handshake and a request may be cut at any byte") {
  if (!available()) return;
  const std::string request =
      encode_request({"SET", "key", "value"}) + encode_request({"GET", "key"});
  const std::string reply = "+OK\r\n$5\r\nvalue\r\n";
  for (const std::string version : {"TLSv1.2", "TLSv1.3"}) {
    CAPTURE(version);
    const ServerProcess server(with_tls({"--tls-protocols", version}));
    RawClient whole(server);
    CHECK(whole.exchange(request, reply.size(), 0) == reply);
    CHECK(whole.position() > 300);
    for (std::size_t cut = 1; cut < whole.position(); ++cut) {
      CAPTURE(cut);
      CHECK(RawClient(server).exchange(request, reply.size(), cut) == reply);
    }
  }
}

TEST_CASE("a client may leave at any byte, with replies under way, and leaves nothing behind") {
  if (!available()) return;
  for (const std::string version : {"TLSv1.2", "TLSv1.3"}) {
    CAPTURE(version);
    const ServerProcess server(with_tls({"--tls-protocols", version}));
    Socket observer = server.connect();
    CHECK(observer.command({"SET", "large", std::string(mebi, 'x')}) == "+OK\r\n");
    std::string request;
    for (int i = 0; i < 20; ++i)
      request += encode_request({"GET", "large"}) + encode_request({"INCR", "n"});
    bool more = true;
    for (std::size_t size = 0; more; size += 1 + size / 40) {
      CAPTURE(size);
      for (const bool abruptly : {false, true}) {
        RawClient client(server);
        more = client.send_only(request, size);
        if (abruptly) reset(client.socket());
      }
    }
    // Also after a goodbye, and in the middle of reading.
    for (int i = 0; i < 20; ++i) {
      Socket client = server.connect({.receive_buffer_bytes = 4096});
      client.send_all(request);
      if (i % 2 == 0) client.shutdown_write();
      (void)client.read_exact(static_cast<std::size_t>(i) * 1000);
      if (i % 4 < 2) reset(client);
    }
    CHECK(all_gone(observer));
    CHECK(observer.command({"PING"}) == pong);
  }
}

TEST_CASE("both sides say goodbye, and replies come before it") {
  if (!available()) return;
  const ServerProcess server(with_tls({"--timeout", "1"}));
  {
    Socket client = server.connect();
    client.send_all(encode_request({"SET", "k", "v"}) + encode_request({"GET", "k"}));
    client.shutdown_write();
    CHECK(client.read_until_close() == "+OK\r\n$1\r\nv\r\n");
    CHECK(client.tls()->peer_said_goodbye());
  }
  {
    Socket client = server.connect();
    client.send_all(encode_request({"QUIT"}));
    CHECK(client.read_until_close() == "+OK\r\n");
    CHECK(client.tls()->peer_said_goodbye());
  }
  Socket idle = server.connect();
  CHECK(idle.closes_within(10s));
  CHECK(idle.tls()->peer_said_goodbye());
}

TEST_CASE("plain text on the TLS port ends at once and cleanly") {
  if (!available()) return;
  const ServerProcess server(with_tls());
  for (const std::string text :
       {"PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff_____",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"}) {
    CAPTURE(text);
    Socket client({.port = server.port()});
    client.send_all(text);
    const std::string answer = client.read_until_close();  // an alert at most
    CHECK(answer.size() <= 7);
    CHECK((answer.empty() || answer[0] == '\x15'));
  }
  CHECK(lets_in(server, {.ca = "ca"}));
}

TEST_CASE("a thousand slow handshakes hold up nobody, and end in time") {
  if (!available()) return;
  const ServerProcess server(with_tls({"--threads", "2"}));
  Bystander bystander(server);
  rlimit files{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
  std::vector<std::unique_ptr<RawClient>> slow;
  for (std::size_t i = 0; i < 1000; ++i) {
    slow.push_back(std::make_unique<RawClient>(server));
    slow.back()->send_only("", i % 250);  // somewhere in its first message
    if (i % 100 == 0) bystander.ask();
  }
  const auto begun = Clock::now();
  bystander.ask_for(3s);
  CHECK(bystander.waited_max() < 1s);
  CHECK(bystander.rss_growth() < 100 * mebi + sanitizer_bytes);
  CHECK(lets_in(server, {.ca = "ca"}));
  for (const auto& client : slow) CHECK(client->socket().closes_within(20s));
  CHECK(Clock::now() - begun < 20s);
  bystander.ask();
}

TEST_CASE("a client cannot renegotiate, nor change keys for ever") {
  if (!available()) return;
  const ServerProcess server(with_tls());
  {
    Socket client = server.connect({.tls = TlsClient{.ca = "ca", .version = TLS1_2_VERSION}});
    CHECK(client.command({"PING"}) == pong);
    SSL_renegotiate(client.tls()->raw());
    CHECK_THROWS_AS(client.command({"PING"}), SocketError);
  }
  const TlsClient current{.ca = "ca", .version = TLS1_3_VERSION};
  {
    Socket client = server.connect({.tls = current});
    for (int i = 0; i < 100; ++i) {  // with data between them they are welcome
      SSL_key_update(client.tls()->raw(), SSL_KEY_UPDATE_REQUESTED);
      REQUIRE(client.command({"PING"}) == pong);
    }
  }
  Socket client = server.connect({.tls = current});
  Bystander bystander(server);
  bool closed = false;
  for (int i = 0; i < 100'000 && !closed; ++i) {
    SSL_key_update(client.tls()->raw(), SSL_KEY_UPDATE_REQUESTED);
    const int sent = SSL_do_handshake(client.tls()->raw());
    if (sent == 1) continue;
    closed = SSL_get_error(client.tls()->raw(), sent) != SSL_ERROR_WANT_WRITE;
    if (!closed) std::this_thread::sleep_for(1ms);
  }
  CHECK(closed);
  bystander.ask();
  CHECK(bystander.rss_growth() < 20 * mebi + sanitizer_bytes);
  CHECK(lets_in(server, current));
}

TEST_CASE("large values and long pipelines go through, and others are served meanwhile") {
  if (!available()) return;
  const ServerProcess server(with_tls({"--threads", "1"}));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Socket client =
        server.connect({.timeout = 60s, .tls = TlsClient{.ca = "ca", .version = version}});
    std::string value(64 * mebi, 'x');
    for (std::size_t i = 0; i < value.size(); i += 997) value[i] = static_cast<char>(i);
    REQUIRE(client.command({"SET", "large", value}) == "+OK\r\n");
    Bystander bystander(server);
    for (int i = 0; i < 3; ++i) client.send_all(encode_request({"GET", "large"}));
    bystander.ask_for(500ms);
    const std::string head = "$" + std::to_string(value.size()) + "\r\n";
    for (int i = 0; i < 3; ++i) {
      CHECK(client.read_exact(head.size()) == head);
      CHECK((client.read_exact(value.size()) == value));
      CHECK(client.read_exact(2) == "\r\n");
    }
    CHECK(bystander.waited_max() < 2s);

    std::string pipeline;
    std::string replies;
    for (int i = 0; i < 50'000; ++i) {
      pipeline += encode_request({"ECHO", std::to_string(i)});
      const std::string text = std::to_string(i);
      replies += "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    }
    std::thread sender([&] { client.send_all(pipeline); });
    sender.join();
    CHECK((client.read_exact(replies.size()) == replies));
  }
}

TEST_CASE("a client that does not read waits for itself, within its limits") {
  if (!available()) return;
  const ServerProcess server(
      with_tls({"--client-output-buffer-limit", "normal", "32mb", "8mb", "2"}));
  Socket setter = server.connect();
  REQUIRE(setter.command({"SET", "k", std::string(mebi, 'x')}) == "+OK\r\n");
  std::string gets;
  for (int i = 0; i < 100; ++i) gets += encode_request({"GET", "k"});
  {
    Bystander bystander(server);
    Socket client = server.connect({.receive_buffer_bytes = 65536});
    client.send_all(gets);
    bystander.ask_for(1s);
    CHECK(bystander.rss_growth() < 32 * mebi + sanitizer_bytes);
    CHECK(bystander.waited_max() < 1s);
    // Its replies are still there, and all of them.
    const std::string reply = "$1048576\r\n" + std::string(mebi, 'x') + "\r\n";
    for (int i = 0; i < 100; ++i) REQUIRE((client.read_exact(reply.size()) == reply));
  }
  // One reply above the limit that nobody reads.
  Socket large = server.connect();
  REQUIRE(large.command({"SET", "large", std::string(20 * mebi, 'x')}) == "+OK\r\n");
  Socket deaf = server.connect({.receive_buffer_bytes = 4096, .timeout = 30s});
  deaf.send_all(encode_request({"GET", "large"}));
  for (const auto end = Clock::now() + 20s; Clock::now() < end;) {
    if (server.log().find("did not read its replies") != std::string::npos) break;
    std::this_thread::sleep_for(50ms);
  }
  CHECK(server.log().find("did not read its replies") != std::string::npos);
  CHECK(deaf.read_until_close().size() < 20 * mebi);
  CHECK_FALSE(deaf.tls()->peer_said_goodbye());  // the reply was not whole
}

TEST_CASE("limits hold with TLS as without: before AUTH, of clients, of requests") {
  if (!available()) return;
  const ServerProcess server(with_tls({"--requirepass", "secret", "--maxclients", "2"}));
  {
    Socket client = server.connect();
    CHECK(client.command({"PING"}).starts_with("-NOAUTH"));
    client.send_all("*1\r\n$3000000\r\nx");
    CHECK(client.read_until_close() == "-ERR Protocol error: unauthenticated bulk length\r\n");
  }
  Socket first = server.connect();
  Socket second = server.connect();
  CHECK_THROWS_AS(server.connect(), SocketError);
  CHECK(first.command({"AUTH", "secret"}) == "+OK\r\n");
  CHECK(second.command({"AUTH", "secret"}) == "+OK\r\n");
}

}  // namespace kvs::test

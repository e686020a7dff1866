// server_process.cc - starts, watches and ends one kvs-server.
#include "tests/support/server_process.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/support/certificates.h"
#include "tests/support/run_program.h"

namespace kvs::test {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int start_attempts_max = 5;

std::atomic<bool> test_case_failed{false};

// doctest does not say whether the running test case has failed so far; its listeners can know.
struct FailureListener : doctest::IReporter {
  explicit FailureListener(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override { test_case_failed = false; }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& data) override {
    if (data.m_failed) test_case_failed = true;
  }
  void log_message(const doctest::MessageData& data) override {
    if ((data.m_severity & doctest::assertType::is_warn) == 0) test_case_failed = true;
  }
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("failure", 1, FailureListener);

std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::filesystem::path proc(pid_t pid, std::string_view name) {
  return std::filesystem::path("/proc") / std::to_string(pid) / name;
}

}  // namespace

ServerProcess::ServerProcess(ServerOptions options) : options_(std::move(options)) {
  if (std::getenv("KVS_TEST_TLS") != nullptr && !options_.tls) options_.tls = TlsClient{.ca = "ca"};
  if (options_.dir.empty()) own_dir_.emplace();
  dir_ = own_dir_ ? own_dir_->path() : options_.dir;
  for (int attempt = 0; attempt < start_attempts_max; ++attempt) {
    port_ = free_port(options_.host);
    if (try_start({}) == Start::ready) return;
  }
  throw std::runtime_error("no free port found; the server's log:\n" + log());
}

ServerProcess::~ServerProcess() {
  if (running()) kill();
  if (test_case_failed || std::uncaught_exceptions() > 0) {
    std::fprintf(stderr, "---- log of the server at %s\n%s---- end of log\n", address().c_str(),
                 log().c_str());
  }
}

std::string ServerProcess::address() const {
  return address_with(port_);
}

std::string ServerProcess::address_with(std::uint16_t port) const {
  const bool ipv6 = options_.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + options_.host + "]" : options_.host) + ":" + std::to_string(port);
}

Socket ServerProcess::connect(SocketOptions options) const {
  options.host = options_.host;
  options.port = port_;
  if (!options.tls) options.tls = options_.tls;
  return Socket(options);
}

ServerProcess::Start ServerProcess::try_start(const std::vector<std::string>& more) {
  Command command;
  command.program = options_.program.empty() ? test_program("kvs-server") : options_.program;
  command.arguments = {"--addr", address_with(options_.tls ? 0 : port_), "--dir", dir_.string()};
  if (options_.tls) {
    const auto tls = tls_arguments(port_);  // the test's own arguments win
    command.arguments.insert(command.arguments.end(), tls.begin(), tls.end());
  }
  if (!options_.password.empty()) {
    command.arguments.insert(command.arguments.end(), {"--requirepass", options_.password});
  }
  command.arguments.insert(command.arguments.end(), options_.arguments.begin(),
                           options_.arguments.end());
  command.arguments.insert(command.arguments.end(), more.begin(), more.end());
  // Which engine, unless the test says it itself.
  const char* const engine = std::getenv("KVS_TEST_ENGINE");
  const auto says_engine =
      std::find(command.arguments.begin(), command.arguments.end(), "--engine");
  if (engine != nullptr && says_engine == command.arguments.end()) {
    command.arguments.insert(command.arguments.end(), {"--engine", engine});
  }
  if (!options_.launcher.empty()) {
    std::vector<std::string> words(options_.launcher.begin() + 1, options_.launcher.end());
    words.push_back(command.program.string());
    command.arguments.insert(command.arguments.begin(), words.begin(), words.end());
    command.program = options_.launcher.front();
  }
  command.environment = options_.environment;

  const auto begin = Clock::now();
  const auto log_file = log_dir_.path() / "stderr";
  const int log_fd = open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = start_program(command, {.in = -1, .out = log_fd, .err = log_fd});
  close(log_fd);

  while (Clock::now() - begin < options_.ready_timeout) {
    if (answers()) {
      start_time_ = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
      return Start::ready;
    }
    if (const auto exit_code = wait_for_exit(std::chrono::milliseconds(2))) {
      if (log().find("in use") != std::string::npos) return Start::address_taken;
      throw std::runtime_error("the server ended with " + std::to_string(*exit_code) +
                               " instead of starting; its log:\n" + log());
    }
  }
  kill();
  throw std::runtime_error("the server does not answer; its log:\n" + log());
}

bool ServerProcess::answers() const {
  try {
    Socket socket = connect();
    // Before AUTH it does not say that it is loading.
    if (!options_.password.empty()) (void)socket.command({"AUTH", options_.password});
    const std::string reply = socket.command({"PING"});
    if (options_.wait_until == WaitUntil::loaded && reply.starts_with("-LOADING")) return false;
    return !reply.empty();
  } catch (const SocketError&) {
    return false;
  }
}

std::optional<int> ServerProcess::wait_for_exit(std::chrono::milliseconds timeout) {
  const auto exit_code = wait_for_program(pid_, timeout);
  if (exit_code) pid_ = -1;
  return exit_code;
}

int ServerProcess::terminate(std::chrono::milliseconds timeout) {
  ::kill(pid_, SIGTERM);
  const auto exit_code = wait_for_exit(timeout);
  if (!exit_code) throw std::runtime_error("the server does not end on SIGTERM");
  return *exit_code;
}

void ServerProcess::kill() {
  ::kill(pid_, SIGKILL);
  if (!wait_for_exit(std::chrono::seconds(30))) {
    std::fprintf(stderr, "process %d survives SIGKILL\n", static_cast<int>(pid_));
    pid_ = -1;
  }
}

void ServerProcess::restart(const std::vector<std::string>& more) {
  if (running()) throw std::logic_error("end the server before restarting it");
  if (try_start(more) != Start::ready) throw std::runtime_error("the port is taken:\n" + log());
}

std::size_t ServerProcess::rss_bytes() const {
  std::ifstream stream(proc(pid_, "statm"));
  std::size_t total_pages = 0;
  std::size_t resident_pages = 0;
  stream >> total_pages >> resident_pages;
  return resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::size_t ServerProcess::open_files() const {
  const std::filesystem::directory_iterator files(proc(pid_, "fd"));
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

std::string ServerProcess::log() const {
  return read_file(log_dir_.path() / "stderr");
}

}  // namespace kvs::test

// fixture.h - a loop with a client on it, and the errors a test looks for.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "protocol/client/client.h"
#include "protocol/client/errors.h"
#include "protocol/client/request.h"
#include "protocol/client/run.h"
#include "tests/unit/client/fake_server.h"

namespace kvs::test {

class ClientFixture {
 public:
  explicit ClientFixture(const client::SocketAddress& address,
                         client::ConnectOptions options = {.operation_timeout = patience}) {
    Result<client::Client> connected =
        client::run(loop_, client::Client::connect(loop_, address, options));
    REQUIRE(connected);
    client_.emplace(std::move(*connected));
  }

  client::Client& client() { return *client_; }
  uv::Loop& loop() { return loop_; }
  void drop_client() { client_.reset(); }

  template <class T>
  T run(Task<T> task) {
    return client::run(loop_, std::move(task));
  }

 private:
  uv::Loop loop_;
  std::optional<client::Client> client_;
};

// True when `result` failed with `code` and a message that has `part` in it.
template <class T>
bool failed_with(const Result<T>& result, Code code, std::string_view part = {}) {
  if (result) return false;
  INFO(result.error().message());
  CHECK(result.error().code() == code);
  CHECK(result.error().message().find(part) != std::string::npos);
  return true;
}

}  // namespace kvs::test

// readme_test.cc - the client's lines in README.md, compiled and run.
//
// What stands between two markers below must stand in README.md word for word, less the
// indentation; the last case compares them.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/client/background_client.h"
#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "protocol/client/sync_client.h"
#include "tests/support/server_process.h"

namespace {

using namespace kvs;
using namespace kvs::client;

// readme: coroutine
// On a loop: as a coroutine.
Task<Result<std::size_t>> value_size(Client& client) {
  auto getting = client.get("greeting");
  Result<std::optional<std::string>> value = co_await std::move(getting);
  if (!value) co_return std::unexpected(value.error());
  co_return value->value_or("").size();
}
// end

void blocking(const SocketAddress& address) {
  // readme: blocking
  // Blocking code.
  Result<SyncClient> client = SyncClient::connect(address);
  if (client) client->set("greeting", "hello").value();
  // end
  REQUIRE(client);
}

std::string boxed_future(const SocketAddress& address) {
  // readme: boxed
  // Boxed futures, from any thread; the loop runs on a thread of its own.
  auto client = BackgroundClient::connect(address);
  Future<Result<std::optional<std::string>>> future = (*client)->get_future("greeting");
  Result<std::optional<std::string>> value = future.get();
  // end
  REQUIRE(value);
  return value->value_or("");
}

std::size_t combined(uv::Loop& loop, Client& client) {
  // readme: combinators
  // On a loop: combinators of operations written by hand. The type spells the pipeline; no heap.
  const std::string key = "greeting";
  auto size = map(client.get_op(key), [](const std::optional<std::string>& value) {
    return value.value_or("").size();
  });
  Result<std::size_t> bytes = client::run(loop, std::move(size));
  // end
  REQUIRE(bytes);
  return *bytes;
}

std::string file(const std::string& name) {
  const char* const root = std::getenv("KVS_SOURCE_DIR");
  REQUIRE(root != nullptr);
  std::ifstream in(std::string(root) + "/" + name);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("the client's lines in README.md do what they say") {
  kvs::test::ServerProcess server;
  const SocketAddress address{"127.0.0.1", server.port()};
  blocking(address);
  CHECK(boxed_future(address) == "hello");
  uv::Loop loop;
  Result<Client> client = client::run(loop, Client::connect(loop, address));
  REQUIRE(client);
  CHECK(*client::run(loop, value_size(*client)) == 5);
  CHECK(combined(loop, *client) == 5);
}

TEST_CASE("README.md has the client's lines as they are compiled here") {
  const std::string readme = file("README.md");
  const std::string source = file("tests/unit/client/readme_test.cc");
  std::size_t snippets = 0;
  const std::string begin = "// readme: ";
  for (std::size_t at = source.find(begin); at != std::string::npos;
       at = source.find(begin, at + 1)) {
    const std::size_t line = source.rfind('\n', at) + 1;
    const std::string indentation(at - line, ' ');
    if (source.substr(line, at - line) != indentation) continue;  // the string above
    const std::size_t from = source.find('\n', at) + 1;
    const std::size_t to = source.find(indentation + "// end\n", from);
    REQUIRE(to != std::string::npos);
    std::string snippet;
    for (std::size_t start = from; start < to;) {
      const std::size_t end = source.find('\n', start) + 1;
      snippet += source.substr(start + indentation.size(), end - start - indentation.size());
      start = end;
    }
    CAPTURE(snippet);
    CHECK(readme.find(snippet) != std::string::npos);
    ++snippets;
  }
  CHECK(snippets == 4);
}

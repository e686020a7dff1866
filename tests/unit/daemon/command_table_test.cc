#include "daemon/command_table.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

TEST_CASE("every command is found by its name in any case, and nothing else is") {
  TestServer server;
  const CommandTable& table = server.commands;
  CHECK(table.all().size() > 60);
  for (const Command* command : table.all()) {
    std::string name(command->name);
    CHECK(table.find(name) == command);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    CHECK(table.find(name) == command);
    name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
    CHECK(table.find(name) == command);
    CHECK(table.find(name + " ") == nullptr);
    CHECK(table.find(name + std::string(1, '\0')) == nullptr);
    CHECK(table.find(name.substr(0, name.size() - 1) + "\x01") == nullptr);
  }
  CHECK(table.find("") == nullptr);
  CHECK(table.find("client|id") == nullptr);
  CHECK(table.find(std::string(1000, 'a')) == nullptr);
}

TEST_CASE("rows are sorted, documented and complete") {
  TestServer server;
  const auto check_row = [](const Command& command) {
    CAPTURE(command.name);
    CHECK_FALSE(command.doc.summary.empty());
    CHECK_FALSE(command.doc.since.empty());
    CHECK_FALSE(command.doc.complexity.empty());
    const std::set<std::string_view> groups = {
        "string",  "generic", "connection", "transactions", "server",
        "cluster", "pubsub",  "bitmap",     "hyperloglog",  "scripting"};
    CHECK(groups.contains(command.doc.group));
    CHECK(command.arity != 0);
    CHECK((command.keys.first == 0) == command.doc.key_access.empty());
    CHECK((command.handler != nullptr || !command.subcommands.empty()));
    CHECK((!command.has(writes) || !command.has(slow)));
  };
  std::string_view last;
  for (const Command* command : server.commands.all()) {
    CHECK(last < command->name);
    last = command->name;
    check_row(*command);
    for (const Command& sub : command->subcommands) {
      CHECK(sub.name.starts_with(std::string(command->name) + "|"));
      CHECK((sub.handler != nullptr));
      check_row(sub);
    }
  }
}

TEST_CASE("a name that tries to inject a reply stays one line") {
  TestServer server;
  TestClient client(server);
  CHECK(client.raw({"a\r\n+OK\r\n", "b\r\n"}) ==
        "-ERR unknown command 'a  +OK  ', with args beginning with: 'b  ' \r\n");
  CHECK(client.raw({"CLIENT", "x\r\n+OK"}) ==
        "-ERR unknown subcommand 'x  +OK'. Try CLIENT HELP.\r\n");
  const std::string long_name(1000, 'n');
  const std::string reply = client.raw({long_name, long_name, "more"});
  CHECK(reply == "-ERR unknown command '" + std::string(128, 'n') +
                     "', with args beginning with: '" + std::string(128, 'n') + "' \r\n");
}

}  // namespace kvs::daemon::test

#include "daemon/commands/command_docs.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/unit/daemon/harness.h"

namespace kvs::daemon {

namespace {

// A tree on one line: name:type=TOKEN?+(arguments).
std::string outline(const std::vector<DocArgument>& arguments) {
  std::string text;
  for (const DocArgument& argument : arguments) {
    if (!text.empty()) text += ' ';
    text += argument.name + ":" + argument.type;
    if (!argument.token.empty()) text += "=" + argument.token;
    if (argument.optional) text += '?';
    if (argument.multiple) text += '+';
    if (!argument.arguments.empty()) text += "(" + outline(argument.arguments) + ")";
  }
  return text;
}

std::string tree(std::string_view syntax) {
  return outline(parse_syntax(syntax, 1));
}

}  // namespace

TEST_CASE("a syntax line becomes the tree that redis documents") {
  CHECK(tree("") == "");
  CHECK(tree("key value") == "key:key value:string");
  CHECK(tree("key [key ...]") == "key:key+");
  CHECK(tree("key value [key value ...]") == "key_value:block+(key:key value:string)");
  CHECK(tree("[message]") == "message:string?");
  CHECK(tree("[NX | XX] [GET]") ==
        "nx_xx:oneof?(nx:pure-token=NX xx:pure-token=XX) get:pure-token=GET?");
  CHECK(tree("[EX seconds | PXAT unix-time-milliseconds | KEEPTTL]") ==
        "seconds_unix-time-milliseconds_keepttl:oneof?(seconds:integer=EX "
        "unix-time-milliseconds:unix-time=PXAT keepttl:pure-token=KEEPTTL)");
  CHECK(tree("<ON | OFF>") == "on_off:oneof(on:pure-token=ON off:pure-token=OFF)");
  CHECK(tree("[TYPE <NORMAL | MASTER>]") ==
        "normal_master:oneof=TYPE?(normal:pure-token=NORMAL master:pure-token=MASTER)");
  CHECK(tree("[protover [AUTH username password] [SETNAME clientname]]") ==
        "protover_username_password_clientname:block?(protover:integer "
        "username_password:block?(username:string=AUTH password:string) "
        "clientname:string=SETNAME?)");
  CHECK(tree("[ID client-id [client-id ...]]") == "client-id:integer=ID?+");
}

TEST_CASE("keys are numbered in the order of their key specs") {
  const auto arguments = parse_syntax("source destination [REPLACE]", 2);
  CHECK(arguments[0].key_spec_index == 0);
  CHECK(arguments[1].key_spec_index == 1);
  CHECK(arguments[2].key_spec_index == -1);
  CHECK(parse_syntax("key1 key2", 1)[1].key_spec_index == 0);
}

TEST_CASE("the syntax of every command can be read, and its documentation is answered") {
  test::TestServer server;
  test::TestClient client(server);
  for (const Command* command : server.commands.all()) {
    CAPTURE(command->name);
    parse_syntax(command->doc.syntax, 1);
    const std::string reply = client("COMMAND DOCS " + std::string(command->name));
    CHECK(reply.find(std::string(command->doc.summary)) != std::string::npos);
    for (const Command& sub : command->subcommands) {
      CHECK(reply.find(std::string(sub.doc.summary)) != std::string::npos);
      const std::string own = client("COMMAND DOCS " + std::string(sub.name));
      CHECK(own.find(std::string(sub.doc.summary)) != std::string::npos);
    }
  }
  CHECK(client("COMMAND DOCS echo") ==
        "*2 $4 echo *10 $7 summary $25 Returns the given string. $5 since $5 1.0.0 $5 group $10 "
        "connection $10 complexity $4 O(1) $9 arguments *1 *4 $4 name $7 message $4 type $6 "
        "string");
}

}  // namespace kvs::daemon

// command_help_test.cc - completion, hints and help from COMMAND DOCS.
#include "cli/command_help.h"

#include <doctest/doctest.h>

#include "cli/words.h"

namespace kvs::cli {
namespace {

using client::Reply;
using Lines = std::vector<std::string>;

Reply text(std::string bytes) {
  return {.kind = Reply::Kind::string, .text = std::move(bytes)};
}
Reply array(std::vector<Reply> elements) {
  return {.kind = Reply::Kind::array, .elements = std::move(elements)};
}
Reply flags(std::string flag) {
  return array({text(std::move(flag))});
}
Reply argument(std::string name, std::string type) {
  return array({text("name"), text(std::move(name)), text("type"), text(std::move(type))});
}
Reply token(std::string name, std::string word) {
  Reply reply = argument(std::move(name), "pure-token");
  reply.elements.insert(reply.elements.end(), {text("token"), text(std::move(word))});
  return reply;
}

CommandHelps helps() {
  Reply condition = argument("condition", "oneof");
  condition.elements.insert(condition.elements.end(),
                            {text("flags"), flags("optional"), text("arguments"),
                             array({token("nx", "NX"), token("xx", "XX")})});
  Reply seconds = argument("seconds", "integer");
  seconds.elements.insert(seconds.elements.end(),
                          {text("token"), text("EX"), text("flags"), flags("optional")});
  Reply keys = argument("key", "key");
  keys.elements.insert(keys.elements.end(), {text("flags"), flags("multiple")});
  return CommandHelps(array({
      text("set"),
      array({text("summary"), text("Sets a key."), text("since"), text("1.0.0"), text("arguments"),
             array({argument("key", "key"), argument("value", "string"), condition, seconds})}),
      text("setex"), array({text("summary"), text("Sets a key for a time.")}), text("del"),
      array({text("arguments"), array({keys})}), text("config"),
      array({text("subcommands"),
             array({text("config|get"),
                    array({text("arguments"), array({argument("parameter", "string")})}),
                    text("config|set"), array({})})}),
      text("nonsense"),  // without its fields
  }));
}

Lines complete(std::string_view line) {
  return helps().completions(split_typed(line));
}
std::string hint(std::string_view line) {
  return helps().hint(split_typed(line));
}

}  // namespace

TEST_CASE("names, subcommands and a command's own words are completed, in the case they began in") {
  CHECK(complete("SE") == Lines{"SET", "SETEX"});
  CHECK(complete("se") == Lines{"set", "setex"});
  CHECK(complete("CONFIG ") == Lines{"GET", "SET"});
  CHECK(complete("config g") == Lines{"get"});
  CHECK(complete("SET k v X") == Lines{"XX"});
  CHECK(complete("set k v e") == Lines{"ex"});
  CHECK(complete("SET k v ").empty());
  CHECK(complete("nosuch x").empty());
}

TEST_CASE("a hint is what may still follow") {
  CHECK(hint("SET") == "");
  CHECK(hint("SET ") == "key value [NX | XX] [EX seconds]");
  CHECK(hint("set k ") == "value [NX | XX] [EX seconds]");
  CHECK(hint("set k v ") == "[NX | XX] [EX seconds]");
  CHECK(hint("DEL a b ") == "key [key ...]");
  CHECK(hint("config get ") == "parameter");
  CHECK(hint("nosuch ") == "");
}

TEST_CASE("help shows a command's arguments and what it does") {
  const CommandHelps all = helps();
  const CommandHelp* const set = all.find({"set"});
  REQUIRE(set != nullptr);
  CHECK(CommandHelps::text(*set).starts_with(
      "SET key value [NX | XX] [EX seconds]\n  Sets a key.\n"));
  CHECK(all.find({"config", "get"})->name == "CONFIG GET");
  CHECK(all.find({"config", "nosuch"})->name == "CONFIG");
  CHECK(all.find({"nosuch"}) == nullptr);
  CHECK(CommandHelps(Reply{}).empty());
}

}  // namespace kvs::cli

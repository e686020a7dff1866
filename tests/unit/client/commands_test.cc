// commands_test.cc - what each command says on the wire, and what it makes of replies.
#include "protocol/client/commands.h"

#include <array>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>
extern "C" {
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
}

#include "protocol/client/request.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Result;
using kvs::client::KeyValue;
using kvs::client::Reply;
using kvs::client::ScanPage;
using kvs::client::SetOptions;
using kvs::test::failed_with;
namespace commands = kvs::client::commands;
using namespace std::chrono_literals;

namespace {

// The request of `command`, as its words.
template <class Command>
std::string words_of(const Command& command) {
  std::string encoded;
  command.encode(encoded);
  std::string words;
  std::size_t at = encoded.find("\r\n") + 2;
  while (at < encoded.size()) {
    const std::size_t end = encoded.find("\r\n", at);
    const std::size_t size = std::stoul(encoded.substr(at + 1, end - at - 1));
    words += (words.empty() ? "" : " ") + encoded.substr(end + 2, size);
    at = end + 2 + size + 2;
  }
  return words;
}

Reply text(std::string content) {
  return {.kind = Reply::Kind::string, .text = std::move(content)};
}
Reply integer(std::int64_t value) {
  return {.kind = Reply::Kind::integer, .integer = value};
}
Reply array(std::vector<Reply> elements) {
  return {.kind = Reply::Kind::array, .elements = std::move(elements)};
}
const Reply ok{.kind = Reply::Kind::status, .text = "OK"};
const Reply nil{};

}  // namespace

TEST_CASE("requests are byte for byte what hiredis would send") {
  const std::vector<std::vector<std::string>> requests = {
      {"PING"}, {"GET", ""}, {"SET", std::string("\0\r\n", 3), std::string(100'000, 'x')}};
  for (const std::vector<std::string>& words : requests) {
    std::vector<std::string_view> views(words.begin(), words.end());
    std::vector<const char*> starts;
    std::vector<std::size_t> sizes;
    for (const std::string& word : words) {
      starts.push_back(word.data());
      sizes.push_back(word.size());
    }
    sds expected = nullptr;
    redisFormatSdsCommandArgv(&expected, static_cast<int>(words.size()), starts.data(),
                              sizes.data());
    std::string ours = "before";
    kvs::client::append_request(ours, views);
    CHECK((ours == "before" + std::string(expected, sdslen(expected))));
    sdsfree(expected);
  }
}

TEST_CASE("every command says its words") {
  CHECK(words_of(commands::Get{"k"}) == "GET k");
  CHECK(words_of(commands::Set{"k", "v", {}}) == "SET k v");
  CHECK(words_of(commands::Set{"k", "v", {.expire_after = 1500ms}}) == "SET k v PX 1500");
  CHECK(words_of(commands::Set{"k", "v", {.expiry = SetOptions::Expiry::keep}}) ==
        "SET k v KEEPTTL");
  CHECK(
      words_of(commands::Set{"k", "v", {.when = SetOptions::When::absent, .expire_after = 1ms}}) ==
      "SET k v PX 1 NX");
  CHECK(words_of(commands::GetAndSet{"k", "v", {.when = SetOptions::When::present}}) ==
        "SET k v XX GET");
  CHECK(words_of(commands::Remove{"k"}) == "DEL k");
  CHECK(words_of(commands::Exists{"k"}) == "EXISTS k");
  CHECK(words_of(commands::Expire{"k", 2s}) == "PEXPIRE k 2000");
  CHECK(words_of(commands::TimeToLive{"k"}) == "PTTL k");
  CHECK(words_of(commands::Increment{"k", std::numeric_limits<std::int64_t>::min()}) ==
        "INCRBY k -9223372036854775808");
  const std::array<std::string_view, 2> keys{"a", "b"};
  CHECK(words_of(commands::GetMany{keys}) == "MGET a b");
  const std::array<KeyValue, 2> pairs{KeyValue{"a", "1"}, KeyValue{"b", "2"}};
  CHECK(words_of(commands::SetMany{pairs}) == "MSET a 1 b 2");
  CHECK(words_of(commands::Scan{0, {}}) == "SCAN 0");
  CHECK(words_of(commands::Scan{std::numeric_limits<std::uint64_t>::max(),
                                {.match = "a*", .count_hint = 100}}) ==
        "SCAN 18446744073709551615 MATCH a* COUNT 100");
  CHECK(words_of(commands::Any{keys}) == "a b");
}

TEST_CASE("every command reads its reply") {
  CHECK(*commands::Get::decode(text("v")) == "v");
  CHECK(*commands::Get::decode(nil) == std::nullopt);
  CHECK(*commands::Set::decode(ok) == true);
  CHECK(*commands::Set::decode(nil) == false);
  CHECK(*commands::GetAndSet::decode(text("old")) == "old");
  CHECK(*commands::GetAndSet::decode(nil) == std::nullopt);
  CHECK(commands::Remove::decode(integer(1)));
  CHECK(failed_with(commands::Remove::decode(integer(0)), Code::not_found));
  CHECK(*commands::Exists::decode(integer(1)) == true);
  CHECK(*commands::Expire::decode(integer(0)) == false);
  CHECK(**commands::TimeToLive::decode(integer(1500)) == 1500ms);
  CHECK(*commands::TimeToLive::decode(integer(-1)) == std::nullopt);
  CHECK(failed_with(commands::TimeToLive::decode(integer(-2)), Code::not_found));
  CHECK(*commands::Increment::decode(integer(-7)) == -7);
  const auto many = commands::GetMany::decode(array({text("1"), nil}));
  REQUIRE(many);
  CHECK(*many == std::vector<std::optional<std::string>>{"1", std::nullopt});
  CHECK(commands::SetMany::decode(ok));
  const auto page =
      commands::Scan::decode(array({text("18446744073709551615"), array({text("k")})}));
  REQUIRE(page);
  CHECK(page->cursor == std::numeric_limits<std::uint64_t>::max());
  CHECK(page->keys == std::vector<std::string>{"k"});
}

TEST_CASE("a reply that the command cannot have is a protocol error") {
  CHECK(failed_with(commands::Get::decode(ok), Code::protocol));
  CHECK(failed_with(commands::Set::decode(integer(1)), Code::protocol));
  CHECK(failed_with(commands::Remove::decode(ok), Code::protocol));
  CHECK(failed_with(commands::Exists::decode(nil), Code::protocol));
  CHECK(failed_with(commands::TimeToLive::decode(integer(-3)), Code::protocol));
  CHECK(failed_with(commands::Increment::decode(text("1")), Code::protocol));
  CHECK(failed_with(commands::GetMany::decode(nil), Code::protocol));
  CHECK(failed_with(commands::GetMany::decode(array({integer(1)})), Code::protocol));
  CHECK(failed_with(commands::SetMany::decode(nil), Code::protocol));
  for (const Reply& bad : {nil, array({}), array({text("1"), nil}), array({text("x"), array({})}),
                           array({text("1x"), array({})}), array({text("-1"), array({})}),
                           array({integer(1), array({})}), array({text("1"), array({nil})})}) {
    CHECK(failed_with(commands::Scan::decode(bad), Code::protocol));
  }
}

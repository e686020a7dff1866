// config_options_test.cc - sizes, addresses, and the table of options as a whole.
#include "daemon/config_options.h"

#include <cctype>
#include <set>

#include <doctest/doctest.h>

namespace kvs::daemon {
namespace {

TEST_CASE("sizes have redis.conf's units, in any case") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("123") == 123);
  CHECK(parse_size("7b") == 7);
  CHECK(parse_size("1k") == 1000);
  CHECK(parse_size("1kb") == 1024);
  CHECK(parse_size("2m") == 2000000);
  CHECK(parse_size("2MB") == 2097152);
  CHECK(parse_size("3g") == 3000000000);
  CHECK(parse_size("3Gb") == 3221225472);
  CHECK(parse_size("9223372036854775807") == 9223372036854775807u);
}

TEST_CASE("what is not a size or does not fit is refused") {
  for (const char* text : {"", "b", "mb", "-1", "+1", " 1", "1 ", "1 mb", "1.5gb", "1tb", "1kbb",
                           "0x10", "9223372036854775808", "99999999999999999999", "8589934592gb"}) {
    CHECK_MESSAGE(!parse_size(text), text);
  }
  CHECK(parse_size("8589934591gb"));
}

TEST_CASE("a size is shown in the shortest exact form") {
  CHECK(size_text(0) == "0");
  CHECK(size_text(1023) == "1023");
  CHECK(size_text(1024) == "1kb");
  CHECK(size_text(1500000) == "1500000");
  CHECK(size_text(536870912) == "512mb");
  CHECK(size_text(std::uint64_t{1} << 40) == "1024gb");
}

TEST_CASE("a numeric address with a port is accepted") {
  const auto v4 = parse_socket_address("127.0.0.1:4000");
  REQUIRE(v4);
  CHECK(v4->text == "127.0.0.1:4000");
  CHECK(v4->host == "127.0.0.1");
  CHECK(v4->port == 4000);
  CHECK(!v4->ipv6);

  const auto v6 = parse_socket_address("[2001:db8::1]:65535");
  REQUIRE(v6);
  CHECK(v6->text == "[2001:db8::1]:65535");
  CHECK(v6->host == "2001:db8::1");
  CHECK(v6->port == 65535);
  CHECK(v6->ipv6);

  CHECK(parse_socket_address("0.0.0.0:0"));
  CHECK(parse_socket_address("[::]:1"));
  CHECK(parse_socket_address("[::ffff:10.0.0.1]:1"));
}

TEST_CASE("anything else is no address") {
  for (const char* text : {"",
                           ":",
                           ":4000",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:+1",
                           "127.0.0.1: 1",
                           "127.0.0.1:1 ",
                           " 127.0.0.1:1",
                           "127.0.0.1:4000x",
                           "127.0.0.1:0x10",
                           "127.0.0.1:000001",
                           "localhost:4000",
                           "example.org:4000",
                           "127.1:4000",
                           "1.2.3.4.5:1",
                           "256.0.0.1:1",
                           "01.2.3.4:1",
                           "::1:4000",
                           "::1",
                           "[::1]",
                           "[::1]:",
                           "[::1:4000",
                           "::1]:4000",
                           "[]:4000",
                           "[127.0.0.1]:4000",
                           "[localhost]:4000",
                           "[::1%lo]:4000",
                           "127.0.0.1:4000:5",
                           "/tmp/kvs.sock"}) {
    CHECK_MESSAGE(!parse_socket_address(text), text);
  }
  using namespace std::string_view_literals;
  CHECK(!parse_socket_address("127.0.0.1\0:4000"sv));
  CHECK(!parse_socket_address("127.0.0.1:4000\0"sv));
}

TEST_CASE("an option takes the value that it shows") {
  for (const ConfigOption& option : config_options()) {
    CAPTURE(option.name);
    const std::string shown = option.show(Config());
    if (shown.empty()) continue;
    Config config;
    const auto mistake = option.set(config, shown);
    CHECK_MESSAGE(!mistake, *mistake);
    CHECK(option.show(config) == shown);
  }
}

TEST_CASE("a refused value changes nothing") {
  for (const ConfigOption& option : config_options()) {
    CAPTURE(option.name);
    Config config;
    // Too long for a password, and of no other kind.
    const std::string bad =
        option.name == "dir" ? "" : "?" + std::string(600, 'x') + std::string(1, '\0');
    CHECK(option.set(config, bad));
    for (const ConfigOption& other : config_options()) {
      CHECK(other.show(config) == other.show(Config()));
    }
  }
}

TEST_CASE("a refused password is not repeated") {
  Config config;
  const auto mistake = find_config_option("requirepass")->set(config, std::string(600, 's'));
  REQUIRE(mistake);
  CHECK(mistake->find("sss") == mistake->npos);
}

TEST_CASE("rows are complete, unique and grouped") {
  std::set<std::string_view> names;
  std::set<std::string_view> groups;
  std::string_view group;
  for (const ConfigOption& option : config_options()) {
    CAPTURE(option.name);
    CHECK(names.insert(option.name).second);
    CHECK(!option.argument.empty());
    CHECK(option.help.ends_with('.'));
    // One heading per group: its rows stand together.
    if (option.group != group) CHECK(groups.insert(option.group).second);
    group = option.group;
    CHECK(find_config_option(option.name) == &option);
    for (const char character : environment_name(option)) {
      CHECK((character == '_' || std::isupper(static_cast<unsigned char>(character))));
    }
  }
  CHECK(environment_name(*find_config_option("io-threads")) == "KVS_IO_THREADS");
  CHECK(find_config_option("appendfsync") == find_config_option("sync"));
  CHECK(find_config_option("save") == nullptr);
}

}  // namespace
}  // namespace kvs::daemon

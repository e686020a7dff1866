#include "protocol/client/address.h"

#include <string>

#include <doctest/doctest.h>

using kvs::Code;
using kvs::client::parse_socket_address;
using kvs::client::SocketAddress;

TEST_CASE("numeric IPv4 and IPv6 socket addresses are read and written back") {
  CHECK(*parse_socket_address("127.0.0.1:4000") == SocketAddress{});
  CHECK(*parse_socket_address("0.0.0.0:1") == SocketAddress{"0.0.0.0", 1});
  CHECK(*parse_socket_address("[::1]:65535") == SocketAddress{"::1", 65535});
  for (const char* text : {"10.1.2.3:6379", "[::1]:4000", "[fe80::1]:80"}) {
    CHECK(to_string(*parse_socket_address(text)) == text);
  }
}

TEST_CASE("host names and whatever else is no socket address are refused by name") {
  for (const std::string text : {"",
                                 ":",
                                 "4000",
                                 ":4000",
                                 "127.0.0.1",
                                 "127.0.0.1:",
                                 "localhost:4000",
                                 "127.0.0.1:0",
                                 "127.0.0.1:65536",
                                 "127.0.0.1:4000x",
                                 "127.0.0.1:-1",
                                 "127.0.0.1: 4000",
                                 " 127.0.0.1:4000",
                                 "127.0.0.1:4000 ",
                                 "::1:4000",
                                 "[::1]",
                                 "[::1]4000",
                                 "[127.0.0.1]:4000",
                                 "[::1:4000",
                                 "256.0.0.1:4000",
                                 "127.1:4000",
                                 "[localhost]:4000",
                                 "invalid-addr",
                                 "1.2.3.4:5:6"}) {
    CAPTURE(text);
    const auto address = parse_socket_address(text);
    REQUIRE_FALSE(address);
    CHECK(address.error().code() == Code::invalid);
    CHECK(address.error().message().find("'" + text + "'") != std::string::npos);
  }
  CHECK_FALSE(parse_socket_address(std::string_view("127.0.0.1\0:4000", 15)));
}

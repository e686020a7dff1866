#include "protocol/client/sync_client.h"

#include <doctest/doctest.h>

#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Result;
using kvs::client::Reply;
using kvs::client::SyncClient;
using kvs::test::failed_with;
using kvs::test::FakeServer;
using kvs::test::Peer;

TEST_CASE("the blocking client does a session, call by call") {
  FakeServer server([](Peer& peer) {
    if (peer.expect("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")) peer.send("+OK\r\n");
    if (peer.expect("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")) peer.send("$1\r\nv\r\n");
    if (peer.expect("*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")) peer.send(":1\r\n");
    if (peer.expect("*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")) peer.send(":0\r\n");
    if (peer.expect("*1\r\n$4\r\nPING\r\n")) peer.send("+PONG\r\n");
    peer.wait_for_close();
  });
  Result<SyncClient> client = SyncClient::connect(server.address());
  REQUIRE(client);
  CHECK(*client->set("k", "v"));
  CHECK(*client->get("k") == "v");
  CHECK(client->remove("k"));
  CHECK(failed_with(client->remove("k"), Code::not_found));
  CHECK(*client->command({"PING"}) == Reply{.kind = Reply::Kind::status, .text = "PONG"});
}

TEST_CASE("the blocking client reports a server that is not there") {
  CHECK(failed_with(SyncClient::connect(kvs::test::deserted_address()), Code::unreachable));
}

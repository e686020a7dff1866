// backup_commands_test.cc - SAVE, BGSAVE, LASTSAVE, KVS BACKUP and KVS SCRUB up to the engine; what
// the engine makes of them is tested through the server in tests/integration/damage_test.cc.
#include <string>

#include <doctest/doctest.h>

#include "daemon/backups.h"
#include "tests/unit/daemon/harness.h"

namespace kvs::daemon::test {

TEST_CASE("without --backup-dir every backup is refused") {
  TestServer server;
  Backups backups(server.services, "");
  TestClient client(server);
  for (const bool wired : {false, true}) {
    server.services.backups = wired ? &backups : nullptr;
    for (const char* command : {"SAVE", "BGSAVE", "BGSAVE SCHEDULE", "KVS BACKUP monday"}) {
      CHECK(client(command) == "-ERR backups are disabled: start the server with --backup-dir");
    }
    CHECK(fits(client("LASTSAVE"), ":%d"));
  }
}

TEST_CASE("names that are no plain entry of a directory are refused before anything else") {
  TestServer server;
  Backups backups(server.services, "/nowhere");
  server.services.backups = &backups;
  TestClient client(server);
  for (const char* name : {"..", ".", "../x", "a/b", "/etc/passwd", ".x", "''", "'a b'", "a\\b"}) {
    CAPTURE(name);
    const std::string reply = client(std::string("KVS BACKUP ") + name);
    CHECK(reply.find("-ERR a backup's name is") == 0);
  }
}

TEST_CASE("an engine without backups and scrubs says so, and INFO has it") {
  TestServer server;
  Backups backups(server.services, "/nowhere");
  server.services.backups = &backups;
  TestClient client(server);
  CHECK(client("KVS BACKUP monday") == "-ERR this engine offers no backups");
  CHECK(client("SAVE") == "-ERR this engine offers no backups");
  CHECK(client("KVS SCRUB NOW") == "-ERR this engine offers no verification of its files");
  const std::string info = client("INFO persistence");
  CHECK(info.find("rdb_last_bgsave_status:err") != std::string::npos);
  CHECK(info.find("kvs_last_backup_error:this engine offers no backups") != std::string::npos);
  CHECK(info.find("scrub_running:0") != std::string::npos);
}

TEST_CASE("wrong words are syntax errors") {
  TestServer server;
  TestClient client(server);
  CHECK(client("BGSAVE NOW") == "-ERR syntax error");
  CHECK(client("BGSAVE SCHEDULE x") == "-ERR syntax error");
  CHECK(client("KVS SCRUB LATER") == "-ERR syntax error");
  CHECK(client("KVS SCRUB NOW x") == "-ERR syntax error");
  CHECK(client("KVS BACKUP") == "-ERR wrong number of arguments for 'kvs|backup' command");
  CHECK(client("KVS NOSUCH") == "-ERR unknown subcommand 'NOSUCH'. Try KVS HELP.");
  CHECK(client("KVS HELP").find("BACKUP <name>") != std::string::npos);
  CHECK(client("KVS SCRUB").find("damaged_segments") != std::string::npos);
}

}  // namespace kvs::daemon::test

// damage_test.cc - a disk that lies, through the whole program: reads of damaged values, scrub,
// --check, --salvage, backups over the wire and --restore (C4, C19).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/run_program.h"
#include "tests/support/server_process.h"
#include "tests/support/temp_dir.h"

using namespace kvs::test;
using namespace std::chrono_literals;

namespace {

std::vector<std::filesystem::path> segments_of(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() == ".log") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Flips a bit of the first byte of `text` wherever it is in a segment of `dir`; returns how often.
int damage(const std::filesystem::path& dir, const std::string& text) {
  int places = 0;
  for (const auto& path : segments_of(dir)) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    file.clear();
    for (std::size_t at = bytes.find(text); at != std::string::npos;
         at = bytes.find(text, at + 1)) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(bytes[at] ^ 1));
      ++places;
    }
  }
  return places;
}

ProgramResult tool(std::vector<std::string> arguments) {
  return run_program({.program = test_program("kvs-server"), .arguments = std::move(arguments)});
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string info_field(Socket& socket, const std::string& name) {
  const std::string info = socket.command({"INFO", "persistence"});
  const std::size_t at = info.find("\n" + name + ":");
  if (at == std::string::npos) return "(none)";
  const std::size_t begin = at + name.size() + 2;
  return info.substr(begin, info.find('\r', begin) - begin);
}

bool wait_for(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

// A server that has nothing in memory, so that every read is one of the disk.
ServerOptions uncached() {
  return {.arguments = {"--cache-size", "0", "--segment-size", "4kb"}};
}

}  // namespace

TEST_CASE("every command that reads a damaged value answers corruption, and never a value or nil") {
  ServerProcess server(uncached());
  Socket socket = server.connect();
  CHECK(socket.command({"SET", "bad", "damaged-value"}) == "+OK\r\n");
  CHECK(socket.command({"SET", "n", "1234567"}) == "+OK\r\n");
  CHECK(socket.command({"SET", "good", "fine"}) == "+OK\r\n");
  REQUIRE(damage(server.dir(), "damaged-value") == 1);
  REQUIRE(damage(server.dir(), "1234567") == 1);
  const std::vector<Request> readers = {{"GET", "bad"},
                                        {"GETRANGE", "bad", "0", "3"},
                                        {"GETEX", "bad", "EX", "100"},
                                        {"GETDEL", "bad"},
                                        {"SET", "bad", "x", "GET"},
                                        {"GETSET", "bad", "x"},
                                        {"APPEND", "bad", "x"},
                                        {"SETRANGE", "bad", "1", "x"},
                                        {"INCR", "n"},
                                        {"INCRBY", "n", "2"},
                                        {"DECR", "n"},
                                        {"INCRBYFLOAT", "n", "1.5"},
                                        {"COPY", "bad", "copy"},
                                        {"RENAME", "bad", "other"},
                                        {"EXPIRE", "bad", "100"},
                                        {"PEXPIRE", "bad", "9"},
                                        {"MGET", "good", "bad"}};
  int errors = 0;
  for (const Request& request : readers) {
    CAPTURE(request[0]);
    const std::string reply = socket.command(request);
    CHECK_MESSAGE(contains(reply, "-ERR corrupt record: corrupt segment "), reply);
    CHECK_MESSAGE(
        contains(reply, request[0].find("CR") != std::string::npos ? "key \"n\"" : "key \"bad\""),
        reply);
    ++errors;
  }
  CHECK(std::stoi(info_field(socket, "kvs_corrupt_reads")) >= errors);
  // Nothing of that has made the damage look like data, nor harmed others.
  CHECK(contains(socket.command({"GET", "bad"}), "-ERR corrupt record"));
  CHECK(socket.command({"EXISTS", "bad", "copy", "other"}) == ":1\r\n");
  CHECK(socket.command({"TTL", "bad"}) == ":-1\r\n");
  CHECK(socket.command({"GET", "good"}) == "$4\r\nfine\r\n");
  // In a transaction too, whose other commands go on.
  socket.command({"MULTI"});
  socket.command({"GET", "good"});
  socket.command({"GET", "bad"});
  const std::string replies = socket.command({"EXEC"});
  CHECK(contains(replies, "$4\r\nfine\r\n-ERR corrupt record"));
  // What is written over is right again, what is removed is gone.
  CHECK(socket.command({"SET", "bad", "new"}) == "+OK\r\n");
  CHECK(socket.command({"GET", "bad"}) == "$3\r\nnew\r\n");
  CHECK(socket.command({"DEL", "n"}) == ":1\r\n");
  CHECK(socket.command({"GET", "n"}) == "$-1\r\n");
  CHECK(contains(server.log(), "corrupt segment"));
}

TEST_CASE("a scrub over the wire finds what has rotted, and INFO says where") {
  ServerProcess server(uncached());
  Socket socket = server.connect();
  for (int i = 0; i < 200; ++i) {
    socket.command({"SET", "k" + std::to_string(i), "value-" + std::to_string(i) + "."});
  }
  const auto passes = [&] { return info_field(socket, "scrub_passes"); };
  CHECK(socket.command({"KVS", "SCRUB", "NOW"}) == "+Scrub started\r\n");
  REQUIRE(wait_for([&] { return passes() == "1"; }));
  CHECK(info_field(socket, "scrub_errors") == "0");
  REQUIRE(damage(server.dir(), "value-3.") == 1);
  CHECK(socket.command({"KVS", "SCRUB", "NOW"}) == "+Scrub started\r\n");
  REQUIRE(wait_for([&] { return passes() == "2"; }));
  CHECK(info_field(socket, "scrub_errors") == "1");
  CHECK(info_field(socket, "scrub_damaged_segments") == "0000000000000001.log=1");
  CHECK(contains(server.log(), "scrub: corrupt segment 0000000000000001.log"));
  CHECK(contains(server.log(), "k3"));
  CHECK(contains(socket.command({"KVS", "SCRUB"}), "damaged_segments"));
}

TEST_CASE("--check says by its exit code what would happen, and changes nothing") {
  ServerProcess server(uncached());
  {
    Socket socket = server.connect();
    for (int i = 0; i < 200; ++i) {
      socket.command({"SET", "k" + std::to_string(i), "value-" + std::to_string(i) + "."});
    }
  }
  const std::string dir = server.dir().string();
  const ProgramResult busy = tool({"--check", dir});
  CHECK(busy.exit_code == 3);
  CHECK(contains(busy.err, "in use by another process"));
  SUBCASE("good, also after a kill") {
    server.kill();
    const ProgramResult good = tool({"--check", dir});
    CHECK(good.exit_code == 0);
    CHECK(contains(good.out, ": good\n"));
    CHECK(contains(good.out, "200 keys"));
    const ProgramResult json = tool({"--check", dir, "--json"});
    CHECK(json.exit_code == 0);
    CHECK(contains(json.out, R"("verdict":"good")"));
  }
  SUBCASE("a torn tail") {
    server.kill();
    REQUIRE(damage(dir, "value-199.") == 1);
    const ProgramResult torn = tool({"--check", dir});
    // The last write may have been synced just before.
    CHECK((torn.exit_code == 1 || torn.exit_code == 2));
    if (torn.exit_code == 1) CHECK(contains(torn.out, "torn tail: the next start cuts "));
  }
  SUBCASE("corrupt, every place, until it is salvaged") {
    REQUIRE(server.terminate() == 0);
    REQUIRE(damage(dir, "value-3.") == 1);
    REQUIRE(damage(dir, "value-150.") == 1);
    const ProgramResult bad = tool({"--check", dir});
    CHECK(bad.exit_code == 2);
    CHECK(contains(bad.out, "key \"k3\" of database 0"));
    CHECK(contains(bad.out, "key \"k150\" of database 0"));
    // Whether it opens depends on how many hints had been made.
    CHECK((contains(bad.out, "a server refuses to open it") ||
           contains(bad.out, "a server opens it, and answers an error")));
    CHECK(contains(tool({"--check", dir, "--json"}).out, R"("damages_count":2)"));

    const ProgramResult salvaged = tool({"--salvage", dir});
    CHECK(salvaged.exit_code == 1);
    CHECK(contains(salvaged.out, "\"k3\" of database 0"));
    CHECK(contains(salvaged.err, "records were lost"));
    CHECK(tool({"--check", dir}).exit_code == 0);
    const ProgramResult again = tool({"--salvage", dir});
    CHECK(again.exit_code == 0);
    CHECK(contains(again.out, "nothing was changed"));

    server.restart();
    Socket socket = server.connect();
    CHECK(socket.command({"DBSIZE"}) == ":198\r\n");
    CHECK(socket.command({"GET", "k4"}) == "$8\r\nvalue-4.\r\n");
    CHECK(socket.command({"GET", "k3"}) == "$-1\r\n");
  }
}

TEST_CASE("what cannot be checked, salvaged or restored is said") {
  const TempDir dir;
  CHECK(tool({"--check", (dir.path() / "none").string()}).exit_code == 3);
  CHECK(tool({"--check", dir.path().string()}).exit_code == 3);
  CHECK(std::filesystem::is_empty(dir.path()));
  CHECK(tool({"--salvage", (dir.path() / "none").string()}).exit_code == 3);
  CHECK(
      tool({"--restore", dir.path().string(), "--dir", (dir.path() / "new").string()}).exit_code ==
      1);
  const ProgramResult two = tool({"--check", "a", "--salvage", "b"});
  CHECK(two.exit_code == 1);
  CHECK(contains(two.err, "only one of --check, --salvage and --restore"));
  // Paths beyond PATH_MAX are an error, not a crash.
  const std::string deep = dir.path().string() + "/" + std::string(200, 'd');
  std::string longest = deep;
  for (int i = 0; i < 30; ++i) longest += "/" + std::string(200, 'd');
  CHECK(tool({"--check", longest}).exit_code == 3);
  // Long ones within it work.
  std::string path = dir.path().string();
  while (path.size() < 3500) path += "/" + std::string(200, 'p');
  std::filesystem::create_directories(path);
  std::ofstream(path + "/MANIFEST") << "nonsense";
  CHECK(tool({"--check", path}).exit_code == 2);
}

TEST_CASE("a backup over the wire is incremental, and restores what was there") {
  const TempDir backups;
  ServerOptions options = uncached();
  options.arguments.insert(options.arguments.end(), {"--backup-dir", backups.path().string()});
  ServerProcess server(options);
  Socket socket = server.connect();
  for (int i = 0; i < 300; ++i) {
    socket.command({"SET", "k" + std::to_string(i), "value-" + std::to_string(i)});
  }
  const std::string first = socket.command({"KVS", "BACKUP", "monday"});
  CHECK_MESSAGE(contains(first, "$12\r\ncopied_bytes\r\n:0\r\n"), first);
  socket.command({"SET", "more", "1"});
  const std::string second = socket.command({"KVS", "BACKUP", "tuesday"});
  CHECK_MESSAGE(contains(second, "$9\r\nnew_files\r\n:1\r\n"), second);
  CHECK(contains(socket.command({"KVS", "BACKUP", "tuesday"}), "called tuesday already"));
  CHECK(contains(socket.command({"KVS", "BACKUP", "../x"}), "-ERR a backup's name is"));
  // The files are shared.
  struct stat status {};
  const auto shared = segments_of(backups.path() / "tuesday").front();
  REQUIRE(stat(shared.c_str(), &status) == 0);
  CHECK(status.st_nlink >= 2);

  CHECK(socket.command({"SAVE"}) == "+OK\r\n");
  CHECK(socket.command({"BGSAVE"}) == "+Background saving started\r\n");
  REQUIRE(wait_for([&] {
    return info_field(socket, "rdb_bgsave_in_progress") == "0" &&
           info_field(socket, "rdb_saves") == "4";
  }));
  CHECK(info_field(socket, "rdb_last_bgsave_status") == "ok");
  CHECK(info_field(socket, "rdb_last_save_time") == socket.command({"LASTSAVE"}).substr(1, 10));
  socket.command({"FLUSHALL"});
  REQUIRE(server.terminate() == 0);

  const TempDir target;
  const std::string dir = (target.path() / "data").string();
  const auto restored = tool({"--restore", (backups.path() / "tuesday").string(), "--dir", dir});
  CHECK_MESSAGE(restored.exit_code == 0, restored.err);
  CHECK(contains(restored.out, "restored 301 keys"));
  const auto again = tool({"--restore", (backups.path() / "tuesday").string(), "--dir", dir});
  CHECK(again.exit_code == 1);
  CHECK(contains(again.err, "is not empty"));
  CHECK(tool({"--check", dir}).exit_code == 0);

  ServerProcess second_server({.arguments = {}, .dir = dir});
  Socket other = second_server.connect();
  CHECK(other.command({"DBSIZE"}) == ":301\r\n");
  CHECK(other.command({"GET", "k77"}) == "$8\r\nvalue-77\r\n");

  REQUIRE(damage(backups.path() / "monday", "value-77") == 1);
  const auto refused = tool({"--restore", (backups.path() / "monday").string(), "--dir",
                             (target.path() / "no").string()});
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "the backup is damaged"));
  CHECK_FALSE(std::filesystem::exists(target.path() / "no"));
}

TEST_CASE("a symbolic link in the directory of backups leads no backup out of it") {
  const TempDir backups;
  const TempDir elsewhere;
  std::filesystem::create_directory_symlink(elsewhere.path(), backups.path() / "linked");
  std::filesystem::create_directory_symlink(elsewhere.path() / "none", backups.path() / "dangling");
  ServerOptions options = uncached();
  options.arguments.insert(options.arguments.end(), {"--backup-dir", backups.path().string()});
  ServerProcess server(options);
  Socket socket = server.connect();
  socket.command({"SET", "k", "v"});
  for (const char* name : {"linked", "dangling"}) {
    CHECK(contains(socket.command({"KVS", "BACKUP", name}), "is a symbolic link"));
  }
  CHECK(std::filesystem::is_empty(elsewhere.path()));
  CHECK(contains(socket.command({"KVS", "BACKUP", "own"}), "$9\r\nnew_files\r\n:1\r\n"));
}

TEST_CASE("without --backup-dir no client makes a file anywhere") {
  ServerProcess server;
  Socket socket = server.connect();
  for (const Request& request :
       std::vector<Request>{{"KVS", "BACKUP", "x"}, {"SAVE"}, {"BGSAVE"}}) {
    CHECK(socket.command(request) ==
          "-ERR backups are disabled: start the server with --backup-dir\r\n");
  }
}

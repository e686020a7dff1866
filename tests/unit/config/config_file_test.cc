// config_file_test.cc - the syntax of redis.conf, word by word and file by file.
#include "daemon/config_file.h"

#include <sstream>

#include <doctest/doctest.h>

#include "tests/unit/config/parsing.h"

namespace kvs::daemon {
namespace {

using testing::Folder;
using Words = std::vector<std::string>;

Result<std::vector<Directive>> read(const std::string& file, const std::string& text) {
  std::istringstream input(text);
  return read_directives(input, file);
}

std::string names(const Result<std::vector<Directive>>& directives) {
  if (!directives) return directives.error().message();
  std::string all;
  for (const Directive& directive : *directives) {
    all += directive.name;
    for (const std::string& word : directive.words) all += "=" + word;
    all += "@" + std::to_string(directive.line) + " ";
  }
  return all;
}

TEST_CASE("a line is split at blanks and quotes") {
  CHECK(split_words("").value().empty());
  CHECK(split_words(" \t\r").value().empty());
  CHECK(split_words("sync always") == Words{"sync", "always"});
  CHECK(split_words("\t sync \t always \r") == Words{"sync", "always"});
  CHECK(split_words("a \"b c\" 'd e'") == Words{"a", "b c", "d e"});
  CHECK(split_words("a \"\" ''") == Words{"a", "", ""});
  CHECK(split_words(R"(a "\n\r\t\a\b\"\\\q")") == Words{"a", "\n\r\t\a\b\"\\q"});
  CHECK(split_words(R"(a "\x41\xfF\xg0\x4")") == Words{"a", "A\xffxg0x4"});
  CHECK(split_words(R"(a 'it\'s \n')") == Words{"a", "it's \\n"});
  CHECK(split_words("a b\"c\"") == Words{"a", "bc"});
  CHECK(split_words("# say \"nothing") == Words{});
  CHECK(split_words("a #b") == Words{"a", "#b"});
}

TEST_CASE("quotes that do not close are an error") {
  for (const char* line : {"a \"", "a '", "a \"b", "a 'b\\'", "a \"b\\\"", "a \"b\\"}) {
    const auto words = split_words(line);
    REQUIRE_MESSAGE(!words, line);
    CHECK(words.error().message() == "unbalanced quotes");
  }
  for (const char* line : {"a \"b\"c", "a 'b''c'"}) {
    const auto words = split_words(line);
    REQUIRE_MESSAGE(!words, line);
    CHECK(words.error().message() == "a closing quote must be followed by a blank");
  }
}

TEST_CASE("directives come in order, with their lines, names in lower case") {
  CHECK(names(read("f", "# x\n\n  Sync ALWAYS\r\n\t# y\nport 1 2")) == "sync=ALWAYS@3 port=1=2@5 ");
  CHECK(names(read("f", "")) == "");
  CHECK(names(read("f", "a 1\nb \"x\n")) == "f:2: unbalanced quotes");
}

TEST_CASE("an included file stands where it is named") {
  Folder folder;
  folder.write("one.conf", "b 2\n");
  folder.write("two.conf", "c 3\ninclude one.conf\n");
  const std::string main = folder.path("main.conf");
  CHECK(names(read(main, "a 1\ninclude one.conf\nd 4\n")) == "a=1@1 b=2@1 d=4@3 ");
  CHECK(names(read(main, "include " + folder.path("two.conf") + "\n")) == "c=3@1 b=2@1 ");
}

TEST_CASE("include takes wildcards, in order of names, and one that matches nothing is fine") {
  Folder folder;
  folder.write("conf-b", "b 2\n");
  folder.write("conf-a", "a 1\n");
  const std::string main = folder.path("main.conf");
  CHECK(names(read(main, "include conf-*\n")) == "a=1@1 b=2@1 ");
  CHECK(names(read(main, "include conf-[b]\n")) == "b=2@1 ");
  CHECK(names(read(main, "include nothing-*\nz 9\n")) == "z=9@2 ");
}

TEST_CASE("mistakes around include name the line that stands there") {
  Folder folder;
  const std::string main = folder.path("main.conf");
  const std::string gone = folder.path("gone.conf");
  CHECK(names(read(main, "\ninclude gone.conf\n")) ==
        main + ":2: cannot read '" + gone + "': No such file or directory");
  CHECK(names(read(main, "include /tmp\n")) == main + ":1: cannot read '/tmp': Is a directory");
  const std::string bad = folder.write("bad.conf", "ok 1\nx \"y\n");
  CHECK(names(read(main, "include bad.conf\n")) == bad + ":2: unbalanced quotes");
  const std::string self = folder.write("self.conf", "include self.conf\n");
  CHECK(names(read(main, "include self.conf\n")) ==
        self + ":1: files include each other too deeply");
}

}  // namespace
}  // namespace kvs::daemon

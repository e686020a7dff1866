#!/usr/bin/env python3
"""tidy_test - breaks each rule of tidy.py once, in a small tree, and looks for the finding."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tidy  # noqa: E402

# A tree without findings; each test changes one file of it.
GOOD = {
    "CMakeLists.txt": "add_subdirectory(storage)\n",
    "README.md": "GET a key; [more](storage/a.h)\n",
    "storage/CMakeLists.txt": "add_library(kvs_storage STATIC a.cc file.cc)\n"
                              "target_link_libraries(kvs_storage PUBLIC kvs_async PkgConfig::isal)\n",
    "storage/a.h": "// a.h - a\n#pragma once\n\n#include <string>\n",
    "storage/a.cc": '// a.cc - a\n#include "storage/a.h"\n\n#include "protocol/async/result.h"\n',
    "storage/file.cc": "// file.cc - I/O\nint sync(int fd) { return ::fdatasync(fd); }\n",
    "storage/engine.h": "// engine.h - e\n#pragma once\n",
    "protocol/async/result.h": "// result.h - r\n#pragma once\n#include <expected>\n",
    "protocol/resp/parser.h": "// parser.h - p\n#pragma once\n#include <string_view>\n",
    "daemon/CMakeLists.txt": "file(GLOB families CONFIGURE_DEPENDS commands/*.cc)\n",
    "daemon/commands/strings.cc": "// strings.cc - s\n"
                                  'constexpr auto row = Command{"get", 2, reads};\n',
    "tests/CMakeLists.txt": "kvs_add_test(NAME unit.a SOURCES unit/a_test.cc LIBS kvs_storage)\n",
    "tests/unit/a_test.cc": 'auto reply = send("GET", "k");\n',
}


class Rules(unittest.TestCase):
    def findings(self, **changes):
        """Findings of the good tree with `changes`: text by path (None: the file is missing)."""
        files = GOOD | changes.pop("files")
        with tempfile.TemporaryDirectory(prefix="kvs-tidy-") as folder:
            for path, text in files.items():
                if text is None:
                    continue
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            return tidy.findings(folder)[0]

    def assert_found(self, path, text, *expected):
        found = self.findings(files={path: text})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(path + ":"), found[0])
        for part in expected:
            self.assertIn(part, found[0])

    def assert_fine(self, path, text):
        self.assertEqual(self.findings(files={path: text}), [])

    def storage_code(self, code):
        return GOOD["storage/a.cc"] + code + "\n"

    def test_a_good_tree_has_no_findings(self):
        self.assertEqual(self.findings(files={}), [])

    def test_an_empty_tree_is_not_taken_for_a_good_one(self):
        with tempfile.TemporaryDirectory(prefix="kvs-tidy-") as folder:
            self.assertEqual(tidy.findings(folder)[1], 0)

    def test_text(self):
        self.assert_found("storage/a.cc", self.storage_code("\tint a;"), "a tab", ":5:")
        self.assert_found("storage/a.cc", self.storage_code("int a; "), "end of the line")
        self.assert_found("storage/a.cc", GOOD["storage/a.cc"] + "int a;", "no newline")
        self.assert_found("storage/a.cc", self.storage_code("// " + "x" * 98), "101 columns")
        self.assert_fine("storage/a.cc", self.storage_code("// " + "x" * 97))

    def test_todo(self):
        self.assert_found("storage/a.cc", self.storage_code("// TODO(release): x"), "(release)")
        self.assert_found("storage/a.cc", self.storage_code("// TODO: x"), "which kind")
        self.assert_fine("storage/a.cc", self.storage_code("// TODO(perf): x"))

    def test_shape(self):
        self.assert_found("storage/a.h", "// a.h\nint a;\n", "#pragma once")
        self.assert_found("storage/a.h", "#pragma once\n", "starts with a comment")
        self.assert_found("storage/file.cc", "int a;\n", "starts with a comment")
        self.assert_found("storage/a.cc", '// a.cc\n#include <string>\n#include "storage/a.h"\n',
                          'include "storage/a.h" first')

    def test_include_rules_of_folders(self):
        header = "// x.h - x\n#pragma once\n#include {}\n"
        for folder, include in (("storage", '"protocol/resp/parser.h"'),
                                ("storage", '"daemon/x.h"'),
                                ("cli", '"storage/engine.h"'),
                                ("daemon", '"storage/a.h"'),
                                ("protocol/resp", '"protocol/async/result.h"'),
                                ("protocol/async", '"storage/engine.h"')):
            found = self.findings(files={folder + "/x.h": header.format(include),
                                         "daemon/x.h" if folder != "daemon" else "cli/y.h":
                                         "// h\n#pragma once\n"})
            self.assertEqual(len(found), 1, (folder, found))
            self.assertIn("must not include", found[0])
        self.assert_fine("daemon/x.h", header.format('"storage/engine.h"'))
        self.assert_fine("cli/x.h", header.format('"protocol/async/result.h"'))
        self.assert_found("cli/x.h", header.format('"nothing.h"'), "is no file of this tree")
        self.assert_fine("storage/x.h", header.format("<string>") + '// #include "daemon/x.h"\n')

    def test_headers_of_libraries_have_a_home(self):
        header = "// x.h - x\n#pragma once\n#include {}\n"
        self.assert_found("storage/x.h", header.format("<uv.h>"), "belongs to")
        self.assert_found("daemon/x.h", header.format("<spdlog/spdlog.h>"), "daemon/log.cc alone")
        self.assert_found("daemon/x.h", header.format("<hiredis/hiredis.h>"), "belongs to")
        self.assert_found("protocol/resp/x.h", header.format("<sys/socket.h>"), "standard library")
        self.assert_found("protocol/async/x.h", header.format("<fmt/core.h>"), "standard library")

    def test_links(self):
        for target, library in (("kvs_storage", "kvs_resp"), ("kvs_resp", "kvs_async"),
                                ("kvs-client", "kvs_server"), ("kvs_client", "kvs_storage")):
            self.assert_found("cli/CMakeLists.txt",
                              f"target_link_libraries({target} PRIVATE\n  {library})\n",
                              f"{target} must not link {library}")
        self.assert_found("cli/CMakeLists.txt", "target_link_libraries(kvs_new PUBLIC x)\n", "is new")

    def test_targets(self):
        self.assert_found("storage/b.cc", "// b.cc - b\n", "no target uses this file")
        self.assert_found("tests/unit/b_test.cc", "int a;\n", "no target uses this file")
        self.assert_fine("daemon/commands/more.cc", "// more.cc - m\n")
        self.assert_found("daemon/commands/deep/more.cc", "// more.cc - m\n", "no target uses")
        found = self.findings(files={"storage/file.cc": None})
        self.assertEqual(len(found), 1, found)
        self.assertIn("which does not exist", found[0])

    def test_calls_have_a_home(self):
        for code in ("int a = ::fdatasync(fd);", "fsync(fd);", "if (::rename(a, b)) return;",
                     "std::rename(a, b);", "::unlink(path);", "int fd = ::open(path, 0);",
                     "std::filesystem::remove(path);", "std::ofstream out(path);",
                     "auto n = ::pwrite(fd, p, 1, 0);", "while (::ftruncate(fd, 0)) {}",
                     "uv_queue_work(l, w, f, g);", "setsockopt(fd, 1, 2, &on, 4);",
                     "std::thread runner(f);", "std::jthread runner(f);", "auto f = std::async(g);",
                     "auto* p = new int;", "auto* p = new Thing(1);", "delete p;", "delete[] p;",
                     "std::cerr << 1;", 'fprintf(stderr, "x");', "int a = atoi(text);",
                     "strcpy(a, b);", "int a = rand();", "system(text);", "#ifdef NDEBUG",
                     "using namespace std;"):
            found = self.findings(files={"storage/a.cc": self.storage_code(code)})
            self.assertEqual(len(found), 1, (code, found))
            self.assertIn("has its home elsewhere; use ", found[0])

    def test_what_only_looks_like_such_a_call_is_fine(self):
        for code in ("file.open(name);", "auto f = Listener::open(name);", "Result<int> open(int);",
                     "Result<void> fsync();", "// ::fdatasync(fd)", "/* new int */",
                     'auto s = "delete new ::unlink(x)";', 'auto s = R"(delete p;)";',
                     "A(const A&) = delete;", "void* operator new(std::size_t);",
                     "void operator delete(void*);", "::new (place) int;", "new (place) int;",
                     "unsigned n = std::thread::hardware_concurrency();", "auto c = '\"';",
                     "int n = 1'000; int m = 2'000;", "renewed(1); my_open(2); deleted = 1;"):
            self.assert_fine("storage/a.cc", self.storage_code(code))

    def test_the_home_itself_may(self):
        self.assert_fine("storage/file.cc", "// file.cc - I/O\nint x = ::open(p, 0);\n")
        self.assert_fine("protocol/uv/work.h",
                         "// work.h - w\n#pragma once\ninline int x = uv_queue_work(a, b, c, d);\n")

    def test_every_command_has_a_test_and_a_line_in_readme(self):
        row = GOOD["daemon/commands/strings.cc"]
        found = self.findings(files={
            "daemon/commands/strings.cc": row + 'auto b = Command{"getdel", 2, reads};\n'})
        self.assertEqual(len(found), 2, found)
        self.assertIn("README.md does not name the command GETDEL", found[0])
        self.assertIn("no test under tests/ uses the command getdel", found[1])
        subcommand = row + 'auto b = Command{"client|id", 2, reads};\n'
        self.assert_found("daemon/commands/strings.cc", subcommand, "the command client|id")
        found = self.findings(files={
            "daemon/commands/strings.cc": subcommand,
            "tests/unit/a_test.cc": 'send("GET", "k"); send("CLIENT", "ID");\n'})
        self.assertEqual(found, [])

    def test_the_list_of_commands_says_what_there_is(self):
        files = {"tests/tidy/redis_commands.txt": "get\nlpush\n",
                 "daemon/absent_commands.cc": '// absent_commands.cc - a\nconst char* a = " lpush ";\n',
                 "daemon/CMakeLists.txt": "file(GLOB families CONFIGURE_DEPENDS commands/*.cc)\n"
                                          "add_library(kvs_server STATIC absent_commands.cc)\n"}

        def found_in(page):
            return self.findings(files={**files, "docs/commands.md": page})
        self.assertEqual(found_in("| GET | yes | |\n| LPUSH | no | no lists |\n"), [])
        for page, expected in (
                ("| GET | yes | |\n", "lpush is missing"),
                ("| GET, LPUSH | yes | |\n", "lpush: the command table says otherwise"),
                ("| GET, LPUSH | no | |\n", "get: the command table says otherwise"),
                ("| GET | yes | |\n| LPUSH | no | |\n| GET | yes | |\n", "get is listed twice"),
                ("| GET | maybe | |\n| LPUSH | no | |\n", "say yes, differs or no"),
                ("| GET, GETT | yes | |\n| LPUSH | no | |\n", "gett is no command of Redis")):
            self.assertIn(expected, " ".join(found_in(page)), page)
        files["daemon/commands/strings.cc"] = (GOOD["daemon/commands/strings.cc"]
                                               + 'auto b = Command{"lpush", 2, reads};\n')
        files["tests/tidy/redis_commands.txt"] = "get\n"
        self.assertIn('missing under "Not of Redis 7.0"', " ".join(found_in("| GET | yes | |\n")))

    def test_links_in_documents(self):
        self.assert_found("storage/README.md", "[x](nothing.md)\n", "nothing.md does not exist")
        self.assert_fine("storage/README.md", "[x](a.h) [y](https://example.org) [z](#top)\n")

    def test_tests_that_documents_name_exist(self):
        case = {"tests/unit/a_test.cc": 'void a() { get(); }\nTEST_CASE(\n    "one "\n    "sentence") {}\n'
                'TEST_CASE("marked" * doctest::test_suite("kvs only")) {}\n'}
        self.assertIn('no test is called "two"', " ".join(self.findings(
            files={**case, "tests/README.md": '| C1 | `"two"` |\n'})))
        named = " ".join(self.findings(files={
            **case, "tests/README.md": '| C1 | `"one sentence"`, `"one s..."`, `"marked"` |\n'}))
        self.assertNotIn("no test is called", named)


if __name__ == "__main__":
    unittest.main(verbosity=1)

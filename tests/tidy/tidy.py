#!/usr/bin/env python3
"""tidy - checks what a reader of the source tree relies on and no compiler sees.

    tests/tidy/tidy.py [TREE]

Prints one line per finding, "FILE:LINE: what, and what to do instead", and exits with 1 if there are
any. The rules are the tables below; design.md 6 is what they say about folders and libraries.
tidy_test.py breaks each rule once in a small tree and looks for the finding.

Not here: formatting (packaging/format) and whatever a compiler warns about.
"""

import fnmatch
import pathlib
import re
import sys

SOURCE_FOLDERS = ("daemon", "cli", "storage", "protocol", "tests")
# By suffix. Prose and data may be as wide as they need; cmake has lists of settings that cannot be
# broken.
UNBREAKABLE = re.compile(r'"[^"]{60,}"|https?://')
COLUMNS_MAX = {".cc": 100, ".h": 100, ".py": 120, ".sh": 120}

# Which folders of ours a folder may include from. The longest matching folder counts.
MAY_INCLUDE = {
    "storage": ("storage", "protocol/async"),
    "protocol/async": ("protocol/async",),
    "protocol/resp": ("protocol/resp",),
    "protocol/uv": ("protocol/uv", "protocol/async"),
    "protocol/file_reads": ("protocol/file_reads", "protocol/uv", "protocol/async"),
    "protocol/tls": ("protocol/tls", "protocol/async"),
    "protocol/client": ("protocol/client", "protocol/tls", "protocol/uv", "protocol/async"),
    # Of the storage layer the daemon sees the interface only, whatever engine is behind it.
    "daemon": ("daemon", "protocol/resp", "protocol/uv", "protocol/file_reads",
               "protocol/tls", "protocol/async", "storage/engine.h",
               "storage/options.h", "storage/limits.h", "storage/offline.h",
               "storage/fs.h"),  # CONFIG REWRITE
    "cli": ("cli", "protocol/client", "protocol/resp", "protocol/uv", "protocol/async"),
    "tests": ("daemon", "cli", "storage", "protocol", "tests"),
}

# Which libraries of ours a target may link.
MAY_LINK = {
    "kvs_async": (),
    "kvs_resp": (),
    "kvs_uv": ("kvs_async",),
    "kvs_file_reads": ("kvs_uv", "kvs_async"),
    "kvs_storage": ("kvs_async",),
    "kvs_tls": ("kvs_async",),
    "kvs_client": ("kvs_uv", "kvs_tls", "kvs_async"),
    "kvs_server": ("kvs_storage", "kvs_resp", "kvs_file_reads", "kvs_uv", "kvs_tls", "kvs_async"),
    "kvs_cli": ("kvs_client", "kvs_resp"),
    "kvs-server": ("kvs_server",),
    "kvs-client": ("kvs_cli",),
}

# Headers of other people's libraries, and the only places that may include them.
HEADER_HOMES = {
    r"uv\.h": ("protocol/uv/", "protocol/file_reads/", "protocol/client/", "daemon/", "tests/"),
    r"liburing\.h": ("protocol/file_reads/",),
    r"hiredis/.*": ("protocol/client/", "tests/"),
    r"openssl/.*": ("protocol/tls/", "daemon/known_scripts.cc", "tests/"),
    r"CLI/.*": ("daemon/config.cc", "cli/"),
    r"nlohmann/.*": ("cli/", "tests/"),
    r"histedit\.h": ("cli/line_editor.cc",),
    r"spdlog/.*": ("daemon/log.cc",),
    r"isa-l.*": ("storage/", "daemon/rdb_string.cc", "tests/"),
    r"xxhash\.h": ("daemon/commands/value_condition.cc", "tests/"),
    r"sodium.*": ("storage/", "daemon/", "tests/"),
    r"rocksdb/.*": ("storage/rocksdb/", "tests/"),
    r"doctest/.*": ("tests/",),
}
# In these folders nothing but the standard library may be included with <>.
STD_ONLY = ("protocol/async/", "protocol/resp/")

FILE_HOMES = ("storage/file.cc", "storage/directory.cc")
# The user's files, which kvs-client reads and writes; nothing in them is the server's.
USER_FILE_HOMES = ("cli/files.cc", "cli/history_file.cc")
FS = "storage/fs.h (Fs, Directory, File), which tests can replace"


def call(names):
    """A call of a C function, not of a member or of something else that has its name."""
    return rf"(?<![\w.>:])(?:::|std::)?(?:{names})\s*\("


def global_call(names):
    """The same for names that members have too: only as ::name( or std::name(."""
    return rf"(?<![\w>])(?:::|std::)(?:{names})\s*\("


# (pattern, where it is allowed, what to use instead, where the rule holds)
EVERYWHERE = ("daemon/", "cli/", "storage/", "protocol/")
BANNED = [
    (call("fdatasync|fsync|pwrite|pwritev2?|ftruncate|fallocate|posix_fallocate|sync_file_range"
          "|copy_file_range|pread|preadv2?|renameat2?|unlinkat|openat|flock"),
     FILE_HOMES + USER_FILE_HOMES + ("protocol/file_reads/pool_reads.cc",), FS, EVERYWHERE),
    (global_call("open|creat|rename|unlink|truncate|mkdir|remove"),
     FILE_HOMES + USER_FILE_HOMES + ("daemon/listener.cc", "daemon/unix_socket.cc"), FS, EVERYWHERE),
    (r"std::filesystem::(?:rename|remove|remove_all|create_director(?:y|ies)|resize_file|copy)\b",
     FILE_HOMES, FS, EVERYWHERE),
    (r"std::o?fstream\b|\bfopen\s*\(", (), FS, EVERYWHERE),
    (r"std::ifstream\b", ("daemon/config.cc", "daemon/config_file.cc",
                            "daemon/commands/config_rewrite.cc",
                            "daemon/commands/process_memory.cc"), FS, EVERYWHERE),
    (call("uv_queue_work"), ("protocol/uv/",), "protocol/uv/pool_work.h", EVERYWHERE),
    (call("setsockopt"), ("daemon/listener.cc", "protocol/uv/"), "Listener (daemon/listener.h)",
     EVERYWHERE),
    (r"std::j?thread\b(?!\s*::)", ("daemon/backups.h", "daemon/backups.cc", "daemon/worker.h",
                                   "daemon/worker.cc", "protocol/uv/", "storage/thread_pool/",
                                   "storage/log/parallel.h", "daemon/loading.h",
                                   "daemon/loading.cc"),
     "a worker loop, or uv::PoolWork for blocking work", EVERYWHERE),
    # A pool whose last handle goes inside a job cannot join that job's thread.
    (r"std::async\b|\.detach\(\)\s*;",
     ("storage/thread_pool/shared_queue.cc", "protocol/uv/thread_pool.cc"),
     "a ThreadPool (protocol/async/thread_pool.h), or uv::PoolWork", EVERYWHERE),
    # Placement new puts an object where memory is already owned; the rest belongs to owners.
    (r"(?<!operator )\bnew\b(?!\s*\()", (), "std::make_unique, or a container", EVERYWHERE),
    (r"(?<!operator )(?<!= )(?<!=)\bdelete\b", (), "std::unique_ptr, or a container", EVERYWHERE),
    (r"\bstd::(?:cout|cerr|clog)\b", ("cli/",), "daemon/log.h", EVERYWHERE),
    (r"\bf?printf\s*\(\s*stderr|\bfputs\s*\([^;]*stderr", ("daemon/config.cc", "daemon/main.cc",
                                                            "cli/"),
     "daemon/log.h", EVERYWHERE),
    (call("strcpy|strcat|sprintf|vsprintf|gets|alloca"), (), "std::string or fmt", EVERYWHERE),
    (call("atoi|atol|atoll|atof|strtok"), (), "std::from_chars", EVERYWHERE),
    (call("system|popen|execl|execv|execvp|fork|vfork"), (), "nothing: no other program is started",
     EVERYWHERE),
    (call("rand|srand|drand48"), (), "sodium's randombytes or <random>", EVERYWHERE),
    (r"\busing namespace std\s*;", (), "the names with std::", EVERYWHERE + ("tests/",)),
    (r"\bNDEBUG\b", (), "assert, which stays on in release", EVERYWHERE + ("tests/",)),
]

TEXT_SUFFIXES = {".cc", ".h", ".py", ".js", ".sh", ".txt", ".cmake", ".json", ".md", ".conf",
                 ".service", ".1", ""}


def without_comments_and_strings(text, keep_strings=False):
    """Returns `text` with comments (and the insides of literals) blanked out, lines kept."""
    pattern = re.compile(
        r'(?P<comment>//[^\n]*|/\*.*?\*/)'
        r'|(?P<raw>R"(?P<delimiter>[^()\\ \n]{0,16})\(.*?\)(?P=delimiter)")'
        r'|(?P<string>"(?:\\.|[^"\\\n])*")'
        r"|(?P<character>(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+')", re.DOTALL)

    def blank(match):
        if keep_strings and match.lastgroup != "comment" and not match.group("comment"):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())
    return pattern.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def is_in(path, homes):
    return any(path == home or (home.endswith("/") and path.startswith(home)) for home in homes)


class Tree:
    """The files of the tree, read once. Paths are relative, with forward slashes."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.texts = {}
        self.findings = []
        for file in sorted(self.root.rglob("*")):
            parts = file.relative_to(self.root).parts
            if parts[0] in (".git", "build", "data") or "node_modules" in parts:
                continue
            if "__pycache__" in parts or "corpus" in parts or not file.is_file():
                continue
            if file.suffix not in TEXT_SUFFIXES or file.name in ("package-lock.json",):
                continue
            try:
                self.texts["/".join(parts)] = file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # data, whatever it is called

    def report(self, path, line, what):
        self.findings.append((path, line, what))

    def sources(self, suffixes=(".cc", ".h"), folders=SOURCE_FOLDERS):
        for path, text in self.texts.items():
            if path.endswith(suffixes) and path.split("/")[0] in folders:
                yield path, text


def check_text(tree):
    for path, text in tree.texts.items():
        suffix = pathlib.PurePath(path).suffix
        if text and not text.endswith("\n"):
            tree.report(path, line_of(text, len(text)), "no newline at the end of the file")
        for number, line in enumerate(text.splitlines(), 1):
            if "\t" in line:
                tree.report(path, number, "a tab; use blanks")
            if line != line.rstrip() and suffix != ".md":
                tree.report(path, number, "blanks at the end of the line")
            columns = COLUMNS_MAX.get(suffix, len(line))
            # What clang-format cannot break either: a long string literal, an address.
            if len(line) > columns and not UNBREAKABLE.search(line):
                tree.report(path, number, f"{len(line)} columns; at most {columns}")
            if path.startswith("tests/tidy/") or suffix == ".md":
                continue
            for kind in re.findall(r"\bTODO\b(\(\w*\))?|\bFIXME\b|\bXXX\b(?!X)", line):
                if kind == "(release)":
                    tree.report(path, number, "TODO(release) is left: do it")
                elif kind not in ("(perf)", "(later)"):
                    tree.report(path, number, "say which kind: TODO(perf) or TODO(later)")


def check_shape(tree):
    for path, text in tree.sources():
        if path.endswith(".h"):
            if not re.search(r"^#pragma once$", text, re.MULTILINE):
                tree.report(path, 1, "a header without #pragma once")
            if not text.startswith("//"):
                tree.report(path, 1, "a header starts with a comment: what, why, what is not here")
            continue
        own = path[:-3] + ".h"
        first = re.search(r"^#include (\S+)", text, re.MULTILINE)
        if own in tree.texts and first and first.group(1) != f'"{own}"':
            tree.report(path, line_of(text, first.start()), f'include "{own}" first')
        if own not in tree.texts and not path.startswith("tests/") and not text.startswith("//"):
            tree.report(path, 1, "starts with a comment: what, why, what is not here")


def check_includes(tree):
    for path, text in tree.sources():
        folder = next((name for name in sorted(MAY_INCLUDE, key=len, reverse=True)
                       if path.startswith(name + "/")), None)
        code = without_comments_and_strings(text, keep_strings=True)
        for match in re.finditer(r'^\s*#\s*include\s+(["<])([^">]+)[">]', code, re.MULTILINE):
            line, name = line_of(code, match.start(2)), match.group(2)
            if match.group(1) == '"':
                if name not in tree.texts:
                    tree.report(path, line, f'"{name}" is no file of this tree; include from its '
                                            "root, and libraries with <>")
                    continue
                allowed = MAY_INCLUDE.get(folder, ())
                if not any(name == place or name.startswith(place + "/") for place in allowed):
                    tree.report(path, line, f'{folder} must not include "{name}"; it may use: '
                                            + ", ".join(allowed))
                continue
            for pattern, homes in HEADER_HOMES.items():
                if re.fullmatch(pattern, name) and not is_in(path, homes):
                    tree.report(path, line, f"<{name}> belongs to {', '.join(homes)} alone")
            # Headers of the standard library have neither a folder nor a suffix.
            if is_in(path, STD_ONLY) and not re.fullmatch(r"[a-z_]+", name):
                tree.report(path, line, f"{folder} uses the standard library alone, not <{name}>")


def cmake_files(tree):
    for path, text in tree.texts.items():
        if pathlib.PurePath(path).name == "CMakeLists.txt":
            yield path, re.sub(r"#[^\n]*", "", text)


def check_links(tree):
    for path, text in cmake_files(tree):
        for match in re.finditer(r"target_link_libraries\s*\(\s*([\w.-]+)([^)]*)\)", text):
            target, words = match.group(1), match.group(2).split()
            if target not in MAY_LINK:
                if not path.startswith("tests/") and target.startswith("kvs"):
                    tree.report(path, line_of(text, match.start()),
                                f"{target} is new: say in tests/tidy/tidy.py what it may link")
                continue
            for word in words:
                if word.startswith("kvs") and word not in MAY_LINK[target]:
                    tree.report(path, line_of(text, match.start()),
                                f"{target} must not link {word}; it may link: "
                                + (", ".join(MAY_LINK[target]) or "nothing of ours"))


def check_targets(tree):
    """Every source file is named by a CMakeLists.txt of its folder or of one above."""
    patterns = []
    for path, text in cmake_files(tree):
        folder = pathlib.PurePosixPath(path).parent
        prefix = "" if str(folder) == "." else str(folder) + "/"
        for word in re.findall(r'[^\s()"]+\.cc', text):
            word = word.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
            if word.startswith("${CMAKE_SOURCE_DIR}/"):
                full = word.removeprefix("${CMAKE_SOURCE_DIR}/")
            else:
                full = prefix + word
            # A name put together from a variable: fuzzers have ${F_NAME}_fuzz.cc.
            patterns.append(re.sub(r"\$\{\w+\}", "*", full))
    exact = {pattern for pattern in patterns if "*" not in pattern}
    wild = [pattern for pattern in patterns if "*" in pattern]
    for path, _ in tree.sources(suffixes=(".cc",)):
        if path in exact or any(fnmatch.fnmatchcase(path, pattern) and
                                path.count("/") == pattern.count("/") for pattern in wild):
            continue
        tree.report(path, 1, "no target uses this file")
    for name in sorted(exact):
        if name not in tree.texts and not name.startswith("."):
            tree.report(name, 1, "a CMakeLists.txt names this file, which does not exist")


def check_calls(tree):
    for path, text in tree.sources():
        code = without_comments_and_strings(text)
        # What the preprocessor sees is checked as an include.
        code = re.sub(r"^\s*#\s*include[^\n]*", "", code, flags=re.MULTILINE)
        for pattern, homes, instead, where in BANNED:
            if not is_in(path, where) or is_in(path, homes):
                continue
            for match in re.finditer(pattern, code):
                if is_declaration(code, match.start()):
                    continue
                shown = " ".join(match.group().split()).rstrip("( ")
                tree.report(path, line_of(code, match.start()),
                            f"{shown} has its home elsewhere; use {instead}")


def is_declaration(code, offset):
    """Is what stands at `offset` the name of a function of ours that is being declared?"""
    before = code[code.rfind("\n", 0, offset) + 1:offset].rstrip()
    if not before or before.lstrip().startswith("#"):
        return False
    # "Result<void> fsync(": a type in front; "return fsync(" and "= fsync(" are calls.
    return bool(re.search(r"[\w>&*]$", before)) and not re.search(
        r"\b(return|co_return|co_await|else|case|throw|new|delete)$", before)


def command_names(tree):
    for path, text in tree.sources(suffixes=(".cc",), folders=("daemon",)):
        if not path.startswith("daemon/commands/"):
            continue
        code = without_comments_and_strings(text, keep_strings=True)
        for match in re.finditer(r'\bCommand\{\s*"([a-z0-9|_-]+)"', code):
            yield path, line_of(code, match.start()), match.group(1)


def check_commands(tree):
    """Every command row is used by a test and, unless it is a subcommand, named in README.md."""
    tests = "\n".join(text for path, text in tree.texts.items()
                      if path.startswith("tests/") and not path.startswith("tests/tidy/")
                      and path.endswith((".cc", ".h", ".py", ".js")))
    readme = tree.texts.get("README.md", "")
    for path, line, name in command_names(tree):
        words = [re.escape(word) for word in name.split("|")]
        # As a word in capitals, or as a quoted one; a subcommand behind its container.
        if len(words) == 1:
            pattern = rf"\b{words[0].upper()}\b|[\"'`]{words[0]}[\"'` \\]|\b(?:client|r|redis)\." \
                      rf"{words[0]}\("
            used = re.search(pattern, tests)
        else:
            used = re.search(r"\b" + r"[\"'`,\s]+".join(words) + r"\b", tests, re.IGNORECASE)
        if not used:
            tree.report(path, line, f"no test under tests/ uses the command {name}")
        if len(words) == 1 and not re.search(rf"\b{words[0].upper()}\b", readme):
            tree.report(path, line, f"README.md does not name the command {name.upper()}")


def documented_commands(page):
    """Yields (line, name, word of the second column) for each command of each row."""
    for number, line in enumerate(page.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| ") or len(cells) < 2 or cells[0] == "command":
            continue
        for name in cells[0].split(";")[0].split(", "):
            yield number, name.lower().replace(" ", "|"), cells[1]


def check_list_of_commands(tree):
    """docs/commands.md has each command of Redis once, and says "no" of those without a row."""
    path = "docs/commands.md"
    if path not in tree.texts:
        return
    rows = {name for _, _, name in command_names(tree)}
    absent = set(re.findall(r"[a-z_-]+", " ".join(
        re.findall(r'"([^"]*)"', tree.texts.get("daemon/absent_commands.cc", "")))))
    redis = set(tree.texts.get("tests/tidy/redis_commands.txt", "").split())
    page = tree.texts[path].split("## Not of Redis 7.0")
    seen = set()
    for line, name, word in documented_commands(page[0]):
        if name not in redis:
            tree.report(path, line, f"{name} is no command of Redis 7.0.15")
        if name in seen:
            tree.report(path, line, f"{name} is listed twice")
        seen.add(name)
        if word not in ("yes", "differs", "no"):
            tree.report(path, line, f"{name}: say yes, differs or no")
        if (word == "no") == (name in rows):
            tree.report(path, line, f"{name}: the command table says otherwise")
        if word == "no" and name.split("|")[0] not in rows | absent:
            tree.report(path, line, f"{name}: daemon/absent_commands.cc does not say why")
    for name in sorted(redis - seen):
        tree.report(path, 1, f"{name} is missing")
    others = {name for _, name, _ in documented_commands("".join(page[1:]))}
    for name in sorted(rows - redis - others):
        tree.report(path, 1, f"{name} is missing under \"Not of Redis 7.0\"")


def check_links_in_documents(tree):
    for path, text in tree.texts.items():
        if not path.endswith(".md"):
            continue
        folder = pathlib.PurePosixPath(path).parent
        # A lambda in a code block looks like a link.
        prose = re.sub(r"^```.*?^```", lambda block: re.sub(r"[^\n]", " ", block.group()), text,
                       flags=re.MULTILINE | re.DOTALL)
        for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
            if re.match(r"[a-z]+:", match.group(1)):
                continue
            if not (tree.root / folder / match.group(1)).exists():
                tree.report(path, line_of(prose, match.start()), f"{match.group(1)} does not exist")


def check_named_sentences(tree):
    """A table that says which test covers a case names sentences that exist.

    Names are quoted as `"sentence"`; a name that ends in ... is the beginning of one.
    """
    sentences = set()
    for path, text in tree.texts.items():
        if not path.startswith("tests/") or not path.endswith(".cc"):
            continue
        for match in re.finditer(r'TEST_CASE\(\s*((?:"(?:[^"\\\\]|\\\\.)*"\s*)+)[)*]', text):
            sentences.add("".join(re.findall(r'"((?:[^"\\\\]|\\\\.)*)"', match.group(1))))
    for path in ("tests/README.md", "README.md"):
        text = tree.texts.get(path, "")
        for match in re.finditer(r'`"([^`]+)"`', text):
            name = match.group(1)
            if name in sentences:
                continue
            if name.endswith("...") and any(each.startswith(name[:-3]) for each in sentences):
                continue
            tree.report(path, line_of(text, match.start()), f'no test is called "{name}"')


CHECKS = (check_text, check_shape, check_includes, check_links, check_targets, check_calls,
          check_commands, check_list_of_commands, check_links_in_documents, check_named_sentences)


def findings(root):
    tree = Tree(root)
    for check in CHECKS:
        check(tree)
    return [f"{path}:{line}: {what}" for path, line, what in sorted(set(tree.findings))], \
        len(tree.texts)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    found, files = findings(root)
    for line in found:
        print(line)
    if files == 0:
        print(f"{root}: no source tree")
        return 1
    print(f"{files} files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

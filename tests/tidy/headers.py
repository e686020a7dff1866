#!/usr/bin/env python3
"""headers - compiles every header of the tree alone: each must bring what it needs.

    tests/tidy/headers.py COMPILER [compiler option ...]

Only the syntax is checked, two headers at a time. Prints the compiler's messages for those that fail.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("daemon", "cli", "storage", "protocol", "tests")


def compile_header(command, header):
    # Included rather than named: "#pragma once in main file" is a warning of its own.
    source = f'#include "{header}"\n#include "{header}"\n'
    done = subprocess.run([*command, "-fsyntax-only", "-I", str(ROOT), "-x", "c++", "-"],
                          input=source, capture_output=True, text=True, timeout=120, check=False)
    return header, done.returncode, done.stderr


def main():
    command = sys.argv[1:]
    headers = sorted(str(file.relative_to(ROOT)) for folder in FOLDERS
                     for file in (ROOT / folder).rglob("*.h") if "node_modules" not in file.parts)
    if not command or not headers:
        print(__doc__)
        return 2
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for header, status, said in pool.map(lambda name: compile_header(command, name), headers):
            if status != 0:
                failed += 1
                print(f"{header} does not compile alone:\n{said}")
    print(f"{len(headers)} headers, {failed} do not compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

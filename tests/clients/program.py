#!/usr/bin/python3
"""program.py - starts the server and runs one foreign program against it.

  program.py [--needs PROGRAM]... [--check COMMAND]... PROGRAM [ARGUMENT]...

The program gets the port as its last argument and fails by its exit code. --needs names programs, and
--check commands (modules that can be loaded), without which the test is skipped.
"""

import argparse
import shlex
import sys

import harness


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--needs", action="append", default=[])
    parser.add_argument("--check", action="append", default=[])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    harness.need_programs(*options.needs)
    for command in options.check:
        if harness.run(*shlex.split(command), check=False).returncode != 0:
            harness.skip_whole_program(f"not installed: {command}")
    harness.watchdog(60)
    with harness.Server() as server:
        done = harness.run(*options.words, server.port, check=False, seconds=50)
        sys.stdout.write(done.stdout.decode(errors="replace"))
        sys.stdout.write(done.stderr.decode(errors="replace"))
        if done.returncode != 0:
            print(f"ended with {done.returncode}; the server's log ends:\n{server.log_tail()}")
            sys.exit(1)


if __name__ == "__main__":
    main()

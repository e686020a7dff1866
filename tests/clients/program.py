#!/usr/bin/python3
"""program.py - starts the server and runs one foreign program against it.

  program.py [--needs PROGRAM]... [--command NAME]... PROGRAM [ARGUMENT]...

The program gets the port as its last argument and fails by its exit code. --needs names programs
without which the test is skipped; --command names commands of the server without which it is.
"""

import argparse
import sys

import harness


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--needs", action="append", default=[])
    parser.add_argument("--command", action="append", default=[])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    harness.need_programs(*options.needs)
    harness.watchdog(60)
    with harness.Server() as server:
        for command in options.command:
            with server.connect() as connection:
                if connection("COMMAND", "INFO", command) == [None]:
                    harness.skip_whole_program(f"the server has no {command}")
        done = harness.run(*options.words, server.port, check=False, seconds=50)
        sys.stdout.write(done.stdout.decode(errors="replace"))
        sys.stdout.write(done.stderr.decode(errors="replace"))
        if done.returncode != 0:
            print(f"ended with {done.returncode}; the server's log ends:\n{server.log_tail()}")
            sys.exit(1)


if __name__ == "__main__":
    main()

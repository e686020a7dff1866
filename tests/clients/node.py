#!/usr/bin/python3
"""node.py - starts the server and runs a client program of Node against it.

  node.py SCRIPT MODULE [PROGRAM ...] [--OPTION ...]

MODULE is what must be in node_modules (and fit this node), PROGRAMs are what must be installed beside
it; SCRIPT is handed the options.

The JavaScript side knows the port only. It asks for what only the owner of the server can do by a
line on its stdout: "RESTART" kills the server with SIGKILL and starts it again on the same data and
port; "KILL" and "START" do the halves. The answer is the same line on its stdin. What else it prints
is passed on.

node_modules is installed from package-lock.json (`npm ci`) if nobody did yet; without npm or without
the network the test is skipped, and says why.
"""

import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import harness

HERE = pathlib.Path(__file__).resolve().parent


def manifest(module):
    return HERE / "node_modules" / module / "package.json"


def installed(module):
    return manifest(module).exists()


def need_node_for(module):
    """Debian's node is older than what some modules are written for."""
    wanted = json.loads(manifest(module).read_text()).get("engines", {}).get("node", "")
    oldest = min((int(major) for major in re.findall(r"(?:>=|\^) *(\d+)", wanted)), default=0)
    version = harness.run("node", "--version").stdout.decode().strip()
    if int(version.lstrip("v").split(".")[0]) < oldest:
        harness.skip_whole_program(f"{module} needs node {wanted}, this is {version}")


def install(module):
    """Two tests may come here at once: one installs, the other waits."""
    lock_path = pathlib.Path(tempfile.gettempdir()) / f"kvs-test-npm-{HERE.stat().st_ino}.lock"
    with open(lock_path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed(module):
            return
        harness.need_programs("npm")
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HERE,
                              capture_output=True, text=True, timeout=90, check=False)
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no message"]
            harness.skip_whole_program(f"npm ci failed in {HERE}: {lines[0]}")


def drive(server, script, options):
    """Runs `script` to its end, doing what it asks for; its exit code."""
    environment = dict(os.environ, KVS_TEST_SLOW="1" if harness.is_slow() else "0")
    process = harness.spawn(["node", HERE / script, server.port, *options], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, bufsize=1, cwd=HERE, env=environment)
    orders = {"RESTART": [server.kill, server.start], "KILL": [server.kill], "START": [server.start]}
    try:
        for line in process.stdout:
            for step in orders.get(line.strip(), []):
                step()
            if line.strip() in orders:
                process.stdin.write(line)
                process.stdin.flush()
            print(line, end="", flush=True)
        return process.wait(timeout=harness.patience(10))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def main():
    script, module, *others = sys.argv[1:]
    options = [word for word in others if word.startswith("--")]
    harness.need_programs("node", *(word for word in others if word not in options))
    if not installed(module):
        install(module)
    need_node_for(module)
    harness.watchdog(100)
    with harness.Server() as server:
        code = drive(server, script, options)
        if code != 0:
            print(f"{script} ended with {code}; the server's log ends:\n{server.log_tail()}")
            sys.exit(1)


if __name__ == "__main__":
    main()

// keyv_suite.js - @keyv/test-suite, Keyv's own tests for stores, run by vitest against the server.
"use strict";

const { spawnSync } = require("node:child_process");
const path = require("node:path");

const done = spawnSync(
  process.execPath,
  [path.join(__dirname, "node_modules/vitest/vitest.mjs"), "run", "--root", __dirname, "keyv_suite.test.mjs"],
  { stdio: "inherit", timeout: process.env.KVS_TEST_SLOW === "1" ? 200000 : 60000,
    env: { ...process.env, KVS_TEST_PORT: process.argv[2] } });
process.exit(done.status === 0 ? 0 : 1);

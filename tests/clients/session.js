// session.js - what all Node sessions share: named steps, the owner of the server, waiting.
"use strict";

const readline = require("node:readline");

const orders = new Map(); // what was asked of node.py -> who waits for its answer
const input = readline.createInterface({ input: process.stdin });
input.on("line", (line) => {
  const waiting = orders.get(line);
  orders.delete(line);
  if (waiting) waiting();
});

// Asks node.py to KILL, START or RESTART the server.
function order(what) {
  return new Promise((resolve) => {
    orders.set(what, resolve);
    process.stdout.write(`${what}\n`);
  });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The promise's value, or an error after `ms`: nothing here waits for ever.
function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Runs the steps in their order, each within 30 s (150 s where everything is slow); the first
// failure ends the program with exit code 1.
async function runSteps(steps) {
  const ms = process.env.KVS_TEST_SLOW === "1" ? 150000 : 30000;
  try {
    for (const [name, step] of Object.entries(steps)) {
      await within(ms, step(), name);
      console.log(`ok: ${name}`);
    }
    process.exit(0);
  } catch (problem) {
    console.error(problem);
    process.exit(1);
  }
}

// Awaits `attempt` until it resolves, for at most `ms`.
async function eventually(ms, attempt) {
  const deadline = Date.now() + ms;
  for (;;) {
    try {
      return await attempt();
    } catch (problem) {
      if (Date.now() > deadline) throw problem;
      await sleep(50);
    }
  }
}

module.exports = { order, sleep, within, runSteps, eventually, port: Number(process.argv[2]) };

// redis_commander.js - `redis-commander`, a graphical tool, as its user has it: in a browser (headless
// Chromium). Keys are looked through, edited, added, renamed and removed there; redis-cli sees it.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { sleep, runSteps, eventually, port } = require("./session.js");

const patience = process.env.KVS_TEST_SLOW === "1" ? 60000 : 15000;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kvs-test-commander-"));
process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

let browser;
let page;

function cli(...words) {
  return execFileSync("redis-cli", ["-p", String(port), ...words], { encoding: "utf8" }).replace(/\n$/, "");
}

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port: found } = probe.address();
      probe.close(() => resolve(found));
    });
  });
}

// The program, with a home of its own for what it saves; it ends with this one.
async function startCommander() {
  const own = await freePort();
  const main = path.join(__dirname, "node_modules/redis-commander/bin/redis-commander.js");
  const commander = spawn("setpriv", [
    "--pdeathsig", "KILL", process.execPath, main, "--redis-host", "127.0.0.1", "--redis-port", String(port),
    "--address", "127.0.0.1", "--port", String(own), "--nosave",
  ], { env: { ...process.env, HOME: folder, NODE_ENV: "production" }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [commander.stdout, commander.stderr]) stream.on("data", (text) => { log += text; });
  process.on("exit", (code) => {
    commander.kill("SIGKILL");
    if (code !== 0) console.error(log.slice(-3000));
  });
  const address = `http://127.0.0.1:${own}/`;
  await eventually(patience, async () => assert.equal((await fetch(`${address}apiv2/connection`)).status, 200));
  return address;
}

const node = (text) => page.locator("#keyTree .jstree-anchor").filter({ hasText: text });

async function openFolder(name) {
  await node(name).locator("xpath=preceding-sibling::i").click();
}

// The item `label` of the menu that a right click on `on` opens.
async function fromMenu(on, label) {
  await on.click({ button: "right" });
  await page.locator(".vakata-context a").filter({ hasText: label }).click();
}

runSteps({
  "the tree shows what is in the server": async () => {
    cli("mset", "fruit:apple", "red", "fruit:pear", "green", "lonely", "1");
    cli("expire", "fruit:pear", "1000");
    const address = await startCommander();
    browser = await require("playwright-core").chromium.launchPersistentContext(path.join(folder, "profile"), {
      executablePath: "/usr/bin/chromium", headless: true, timeout: patience,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
    page = await browser.newPage();
    page.setDefaultTimeout(patience);
    // Its tree trips over itself when it is loaded anew while a branch is still coming.
    const ownRace = /Cannot create property 'children' on boolean/;
    page.on("pageerror", (problem) => { if (!ownRace.test(problem.message)) throw problem; });
    await page.goto(address);
    await node("lonely").waitFor();
    await openFolder("fruit");
    await node("apple").waitFor();
    await node("pear").waitFor();
  },
  "the server's figures are shown": async () => {
    await node(`127.0.0.1:${port}`).click();
    await page.locator("#body").getByText("Redis version").first().waitFor();
    assert.match(await page.locator("#body").innerText(), /Redis mode\s+standalone/);
  },
  "a value and its time to live are shown": async () => {
    await node("pear").click();
    await page.locator("#editStringForm").waitFor();
    assert.equal(await page.locator("#stringValue").inputValue(), "green");
    const left = Number((await page.locator("#itemData").innerText()).match(/TTL: (\d+)/)[1]);
    assert.ok(left > 900 && left <= 1000);
  },
  "a value that is edited is what redis-cli sees": async () => {
    await node("apple").click();
    await page.getByText("fruit:apple", { exact: true }).waitFor();
    assert.equal(await page.locator("#stringValue").inputValue(), "red");
    await page.locator("#stringValue").fill("golden \"ä\" 🍎");
    await page.locator("#editStringForm #saveKeyButton").click();
    await eventually(patience, () => assert.equal(cli("get", "fruit:apple"), "golden \"ä\" 🍎"));
    cli("set", "fruit:apple", "brown");
    await page.reload();
    await node("lonely").waitFor();
    await openFolder("fruit");
    await node("apple").click();
    await page.locator("#stringValue").waitFor();
    await eventually(patience, async () => assert.equal(await page.locator("#stringValue").inputValue(), "brown"));
  },
  "keys are added, renamed and removed": async () => {
    await fromMenu(node(`127.0.0.1:${port}`), "Add Key");
    await page.locator("#addKeyModal #keyValue").fill("added");
    await page.locator("#addKeyModal #newStringValue").fill("by hand");
    await page.locator("#addKeyModal #saveKeyButton").click();
    await node("added").waitFor();
    assert.equal(cli("get", "added"), "by hand");
    await page.locator("#addKeyModal").waitFor({ state: "hidden" });

    await fromMenu(node("added"), "Rename Key");
    await page.locator("#renameKeyModal #renamedKeyName").fill("renamed");
    await page.locator("#renameKeyModal #renameKeyButton").click();
    await node("renamed").waitFor();
    assert.equal(cli("exists", "added"), "0");
    assert.equal(cli("get", "renamed"), "by hand");
    await page.locator("#renameKeyModal").waitFor({ state: "hidden" });

    page.on("dialog", (dialog) => dialog.accept());
    await fromMenu(node("renamed"), "Remove Key");
    await node("renamed").waitFor({ state: "detached" });
    assert.equal(cli("exists", "renamed"), "0");
  },
  "its command line answers": async () => {
    await page.locator("#commandLine").click();
    await page.keyboard.type("incrby lonely 41");
    await page.keyboard.press("Enter");
    await eventually(patience, () => assert.equal(cli("get", "lonely"), "42"));
    await page.locator("#commandLineOutput").getByText("42").waitFor();
    await page.keyboard.type("incr fruit:apple");
    await page.keyboard.press("Enter");
    await page.locator("#commandLineOutput").getByText("value is not an integer or out of range").first().waitFor();
  },
  "thousands of keys are folded": async () => {
    execFileSync("redis-cli", ["-p", String(port)], {
      input: Array.from({ length: 3000 }, (_, n) => `set many:${n} ${n}\n`).join("") });
    await page.reload();
    await openFolder("many");
    await node(/^2999$/).waitFor();
    await sleep(100);
    assert.equal(await node(/^\d+$/).count(), 3000);
  },
  "everything closes": () => browser.close(),
});

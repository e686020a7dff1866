// keyv.js - Keyv and cache-manager on @keyv/redis: values of all kinds, times to live, name spaces,
// iteration, and two layers of cache.
"use strict";

const assert = require("node:assert/strict");
const { sleep, runSteps, port } = require("./session.js");

const address = `redis://127.0.0.1:${port}`;
const opened = [];

async function open(options = {}) {
  const { default: Keyv } = await import("keyv");
  const { default: KeyvRedis } = await import("@keyv/redis");
  const keyv = new Keyv({ store: new KeyvRedis(address), ...options });
  opened.push(keyv);
  return keyv;
}

runSteps({
  "values of all kinds come back": async () => {
    const keyv = await open();
    for (const value of ["text", 42, null, true, { deep: [1, { er: "ä\n" }] }, Buffer.from([0, 255])]) {
      assert.equal(await keyv.set("value", value), true);
      assert.deepEqual(await keyv.get("value"), value);
    }
    assert.equal(await keyv.has("value"), true);
    assert.equal(await keyv.delete("value"), true);
    assert.equal(await keyv.get("value"), undefined);
  },
  "times to live pass": async () => {
    const keyv = await open();
    await keyv.set("brief", "x", 150);
    assert.equal(await keyv.get("brief"), "x");
    await sleep(250);
    assert.equal(await keyv.get("brief"), undefined);
  },
  "many values at once": async () => {
    const keyv = await open();
    await keyv.setMany([{ key: "m1", value: 1 }, { key: "m2", value: 2 }]);
    assert.deepEqual(await keyv.getMany(["m1", "none", "m2"]), [1, undefined, 2]);
    await keyv.deleteMany(["m1", "m2"]);
    assert.deepEqual(await keyv.getMany(["m1", "m2"]), [undefined, undefined]);
  },
  "name spaces are apart, and can be walked and cleared": async () => {
    const one = await open({ namespace: "one" });
    const two = await open({ namespace: "two" });
    await one.set("same", 1);
    await one.set("other", 3);
    await two.set("same", 2);
    const seen = [];
    for await (const [key, value] of one.iterator()) seen.push([key, value]);
    assert.deepEqual(seen.sort(), [["other", 3], ["same", 1]]);
    await one.clear();
    assert.equal(await one.get("same"), undefined);
    assert.equal(await two.get("same"), 2);
  },
  "cache-manager fills its first layer from the second": async () => {
    const { createCache } = await import("cache-manager");
    const { default: Keyv } = await import("keyv");
    const memory = new Keyv();
    const shared = await open({ namespace: "layers" });
    const cache = createCache({ stores: [memory, shared], ttl: 60000 });
    let computed = 0;
    const compute = async () => ({ answer: 42, times: ++computed });
    assert.deepEqual(await cache.wrap("question", compute), { answer: 42, times: 1 });
    assert.deepEqual(await cache.wrap("question", compute), { answer: 42, times: 1 });
    assert.deepEqual(await shared.get("question"), { answer: 42, times: 1 });
    await memory.clear();
    assert.deepEqual(await cache.get("question"), { answer: 42, times: 1 });
    assert.equal(await cache.del("question"), true);
    assert.equal(await shared.get("question"), undefined);
  },
  "all connections close": async () => {
    for (const keyv of opened) await keyv.disconnect();
  },
});

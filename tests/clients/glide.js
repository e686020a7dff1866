// glide.js - a session of @valkey/valkey-glide, whose core is written in Rust.
"use strict";

const assert = require("node:assert/strict");
const { runSteps, port } = require("./session.js");

let client;
let glide;

runSteps({
  "connects and works": async () => {
    glide = require("@valkey/valkey-glide");
    client = await glide.GlideClient.createClient({
      addresses: [{ host: "127.0.0.1", port }], clientName: "glide-test", requestTimeout: 10000 });
    assert.equal(await client.set("a", "1"), "OK");
    assert.equal(await client.get("a"), "1");
    assert.equal(await client.get("missing"), null);
    assert.equal(await client.set("a", "2", { conditionalSet: "onlyIfDoesNotExist" }), null);
    assert.equal(await client.incr("a"), 2);
    assert.equal(await client.incrByFloat("a", 0.5), 2.5);
    assert.equal(await client.clientGetName(), "glide-test");
    assert.deepEqual(await client.configGet(["appendonly"]), { appendonly: "yes" });
  },
  "expiry, ranges and bits": async () => {
    await client.set("e", "hello", { expiry: { type: glide.TimeUnit.Seconds, count: 100 } });
    assert.ok((await client.ttl("e")) > 90);
    assert.equal(await client.getrange("e", 1, 3), "ell");
    assert.equal(await client.setbit("bits", 7, 1), 0);
    assert.equal(await client.bitcount("bits"), 1);
    assert.equal(await client.del(["e", "bits", "missing"]), 2);
  },
  "batches are transactions": async () => {
    const batch = new glide.Batch(true).set("b", "1").incr("b").get("b");
    assert.deepEqual(await client.exec(batch, true), ["OK", 2, "2"]);
  },
  "scans find every key": async () => {
    const many = {};
    for (let i = 0; i < 200; i++) many[`scan:${i}`] = String(i);
    await client.mset(many);
    const seen = new Set();
    let cursor = "0";
    do {
      const [next, keys] = await client.scan(cursor, { match: "scan:*", count: 50 });
      keys.forEach((key) => seen.add(String(key)));
      cursor = String(next);
    } while (cursor !== "0");
    assert.equal(seen.size, 200);
  },
  "closes": async () => client.close(),
});

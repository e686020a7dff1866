// node_redis.js - a session of `redis` from npm, in RESP3 (its handshake is HELLO 3) and in RESP2.
"use strict";

const assert = require("node:assert/strict");
const { createClient, RESP_TYPES, WatchError, ErrorReply } = require("redis");
const { order, sleep, runSteps, eventually, port } = require("./session.js");

const settings = (version) => ({
  socket: { host: "127.0.0.1", port, connectTimeout: 10000, reconnectStrategy: 50 },
  RESP: version,
  name: `node-redis-${version}`,
});

async function connected(version) {
  const client = createClient(settings(version));
  client.on("error", () => {}); // reconnecting is tested below
  await client.connect();
  await client.flushAll();
  return client;
}

let client; // the version under test

const session = {
  "the handshake set protocol and name": async () => {
    assert.equal(await client.ping(), "PONG");
    assert.match(await client.clientGetName(), /^node-redis-[23]$/);
    const hello = await client.sendCommand(["HELLO"]);
    const proto = Array.isArray(hello) ? hello[hello.indexOf("proto") + 1] : hello.proto;
    assert.equal(proto, Number((await client.clientGetName()).at(-1)));
    assert.match(await client.info("server"), /redis_version:\d/);
  },

  "strings read back what was written": async () => {
    assert.equal(await client.set("name", "Ada"), "OK");
    assert.equal(await client.get("name"), "Ada");
    assert.equal(await client.get("missing"), null);
    assert.equal(await client.set("name", "other", { condition: "NX" }), null);
    assert.equal(await client.mSet({ a: "1", b: "2" }), "OK");
    assert.deepEqual(await client.mGet(["a", "missing", "b"]), ["1", null, "2"]);
    assert.equal(await client.incrBy("a", 41), 42);
    assert.equal(Number(await client.incrByFloat("b", 0.5)), 2.5);
    assert.equal(await client.append("name", " Lovelace"), 12);
    assert.equal(await client.getRange("name", 4, 7), "Love");
    assert.equal(await client.getDel("name"), "Ada Lovelace");
    assert.equal(await client.exists(["a", "b", "name"]), 2);
    assert.equal(await client.del(["a", "b", "name"]), 2);
    assert.equal(await client.dbSize(), 0);
    const config = await client.configGet("appendonly");
    assert.equal(config.appendonly, "yes");
  },

  "errors arrive as ErrorReply and leave the connection usable": async () => {
    await client.set("word", "abc");
    await assert.rejects(client.incr("word"), (e) =>
      e instanceof ErrorReply && /value is not an integer or out of range/.test(e.message));
    await assert.rejects(client.sendCommand(["NOSUCH"]), /unknown command 'NOSUCH'/);
    assert.equal(await client.get("word"), "abc");
  },

  "thousands of commands in flight answer in order": async () => {
    const writes = [];
    for (let n = 0; n < 5000; n++) writes.push(client.set(`p:${n}`, `value ${n}`));
    assert.ok((await Promise.all(writes)).every((reply) => reply === "OK"));
    const reads = [];
    for (let n = 0; n < 5000; n++) reads.push(client.get(`p:${n}`));
    (await Promise.all(reads)).forEach((value, n) => assert.equal(value, `value ${n}`));
  },

  "scanIterator finds every key once": async () => {
    const found = [];
    for await (const keys of client.scanIterator({ MATCH: "p:*", COUNT: 100 })) found.push(...keys);
    assert.equal(new Set(found).size, 5000);
    assert.equal(await client.dbSize(), 5001); // and `word`
    const words = [];
    for await (const keys of client.scanIterator({ MATCH: "w?rd", TYPE: "string" })) words.push(...keys);
    assert.deepEqual([...new Set(words)], ["word"]);
  },

  "MULTI is all or nothing": async () => {
    const replies = await client.multi().set("x", "1").incr("x").get("x").get("none").exec();
    assert.deepEqual(replies, ["OK", 2, "2", null]);
    const bad = client.multi().set("never", "1");
    bad.addCommand(["SET", "only-a-key"]);
    await assert.rejects(bad.exec());
    assert.equal(await client.get("never"), null);
    assert.deepEqual(await client.multi().set("y", "1").get("y").execAsPipeline(), ["OK", "1"]);
  },

  "WATCH notices another writer": async () => {
    const other = client.duplicate();
    other.on("error", () => {});
    await other.connect();
    await other.set("stock", "10");
    await other.watch("stock");
    await client.set("stock", "5");
    await assert.rejects(other.multi().set("stock", "9").exec(), WatchError);
    assert.equal(await client.get("stock"), "5");
    await other.watch("stock");
    assert.deepEqual(await other.multi().decr("stock").exec(), [4]);
    await other.close();
  },

  "keys expire": async () => {
    await client.set("short", "v", { expiration: { type: "PX", value: 50 } });
    await client.setEx("long", 100, "v");
    assert.ok((await client.ttl("long")) > 90);
    assert.equal(Number(await client.expire("long", 500, "GT")), 1);
    assert.equal(Number(await client.persist("long")), 1);
    assert.equal(await client.ttl("long"), -1);
    await sleep(120);
    assert.equal(await client.get("short"), null);
    assert.equal(await client.ttl("short"), -2);
  },

  "binary values are kept byte for byte": async () => {
    const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const key = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    for (const size of [0, 1, 65536, 1 << 20]) {
      const value = Buffer.alloc(size);
      for (let n = 0; n < size; n++) value[n] = (n * 31 + (n >> 8)) & 255;
      assert.equal(await client.set(key, value), "OK");
      const back = await raw.get(key);
      assert.ok(Buffer.isBuffer(back));
      assert.ok(back.equals(value), `${size} bytes`);
    }
  },

  "it connects again after the server was killed, and nothing is lost": async () => {
    await client.set("durable", "yes");
    await order("KILL");
    const queued = client.get("durable").catch(() => "failed"); // while nobody listens
    await sleep(150);
    await order("START");
    assert.ok(["yes", "failed"].includes(await queued));
    assert.equal(await eventually(20000, () => client.get("durable")), "yes");
    assert.match(await client.clientGetName(), /^node-redis-[23]$/); // the handshake ran again
    assert.equal(await client.incr("after"), 1);
  },
};

const steps = {};
for (const version of [3, 2]) {
  steps[`RESP${version}: connect`] = async () => {
    client = await connected(version);
  };
  for (const [name, step] of Object.entries(session)) steps[`RESP${version}: ${name}`] = step;
  steps[`RESP${version}: close`] = () => client.close();
}
runSteps(steps);

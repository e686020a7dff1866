// ioredis.js - a session of `ioredis` from npm: INFO as ready check, auto-pipelining, Buffers.
"use strict";

const assert = require("node:assert/strict");
const Redis = require("ioredis");
const { order, sleep, runSteps, eventually, port } = require("./session.js");

const settings = {
  host: "127.0.0.1",
  port,
  connectionName: "ioredis-test",
  connectTimeout: 10000,
  retryStrategy: () => 50,
  maxRetriesPerRequest: 200,
};

function connect(extra = {}) {
  const client = new Redis({ ...settings, ...extra });
  client.on("error", () => {}); // reconnecting is tested below
  return client;
}

let redis;

runSteps({
  "the ready check passes and the name is set": async () => {
    redis = connect();
    await new Promise((resolve) => redis.once("ready", resolve));
    assert.equal(redis.status, "ready");
    assert.match(await redis.info("server"), /\r\nredis_version:\d+\.\d+\.\d+\r\n/);
    assert.equal(await redis.client("GETNAME"), "ioredis-test");
    await redis.flushall();
  },

  "strings read back what was written": async () => {
    assert.equal(await redis.set("name", "Ada"), "OK");
    assert.equal(await redis.get("name"), "Ada");
    assert.equal(await redis.get("missing"), null);
    assert.equal(await redis.set("name", "other", "NX"), null);
    assert.equal(await redis.mset("a", 1, "b", 2), "OK");
    assert.equal(await redis.mset(new Map([["c", "3"]])), "OK");
    assert.deepEqual(await redis.mget("a", "zz", "c"), ["1", null, "3"]);
    assert.equal(await redis.incrby("a", 41), 42);
    assert.equal(await redis.incrbyfloat("b", 0.5), "2.5");
    assert.equal(await redis.append("name", " Lovelace"), 12);
    assert.equal(await redis.getrange("name", 4, 7), "Love");
    assert.equal(await redis.getset("name", "Grace"), "Ada Lovelace");
    assert.equal(await redis.exists("a", "b", "zz"), 2);
    assert.equal(await redis.type("a"), "string");
    assert.equal(await redis.del("a", "b", "c", "zz"), 3);
    assert.equal(await redis.dbsize(), 1);
    assert.deepEqual(await redis.config("GET", "appendonly"), ["appendonly", "yes"]);
  },

  "errors arrive as ReplyError": async () => {
    await assert.rejects(redis.incr("name"), /ERR value is not an integer or out of range/);
    await assert.rejects(redis.call("NOSUCH", "arg"), /ERR unknown command 'NOSUCH'/);
    assert.equal(await redis.get("name"), "Grace");
  },

  "explicit and automatic pipelines answer in order": async () => {
    const pipeline = redis.pipeline();
    for (let n = 0; n < 3000; n++) pipeline.set(`p:${n}`, `value ${n}`).get(`p:${n}`);
    const replies = await pipeline.exec();
    assert.equal(replies.length, 6000);
    for (let n = 0; n < 3000; n++) {
      assert.deepEqual(replies[2 * n], [null, "OK"]);
      assert.deepEqual(replies[2 * n + 1], [null, `value ${n}`]);
    }
    const auto = connect({ enableAutoPipelining: true });
    const reads = await Promise.all(Array.from({ length: 3000 }, (_, n) => auto.get(`p:${n}`)));
    reads.forEach((value, n) => assert.equal(value, `value ${n}`));
    auto.disconnect();
  },

  "scanStream finds every key": async () => {
    const found = new Set();
    for await (const keys of redis.scanStream({ match: "p:*", count: 100 })) {
      keys.forEach((key) => found.add(key));
    }
    assert.equal(found.size, 3000);
  },

  "MULTI is all or nothing": async () => {
    const replies = await redis.multi().set("x", 1).incr("x").get("x").get("none").exec();
    assert.deepEqual(replies, [[null, "OK"], [null, 2], [null, "2"], [null, null]]);
    await assert.rejects(redis.multi().set("never", 1).call("SET", "only-a-key").exec(), /EXECABORT/);
    assert.equal(await redis.get("never"), null);
    const [set, failed, after] = await redis.multi().set("w", "abc").incr("w").set("z", 1).exec();
    assert.deepEqual(set, [null, "OK"]);
    assert.match(failed[0].message, /value is not an integer/);
    assert.deepEqual(after, [null, "OK"]);
  },

  "WATCH notices another writer": async () => {
    const other = redis.duplicate();
    other.on("error", () => {});
    await other.set("stock", 10);
    await other.watch("stock");
    await redis.set("stock", 5);
    assert.equal(await other.multi().set("stock", 9).exec(), null);
    assert.equal(await redis.get("stock"), "5");
    other.disconnect();
  },

  "keys expire": async () => {
    await redis.set("short", "v", "PX", 50);
    await redis.setex("long", 100, "v");
    assert.ok((await redis.pttl("long")) > 90000);
    assert.equal(await redis.expire("long", 50, "GT"), 0);
    assert.equal(await redis.persist("long"), 1);
    assert.equal(await redis.ttl("long"), -1);
    await sleep(120);
    assert.equal(await redis.get("short"), null);
  },

  "binary values are kept byte for byte": async () => {
    const key = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    for (const size of [0, 1, 65536, 1 << 20]) {
      const value = Buffer.alloc(size);
      for (let n = 0; n < size; n++) value[n] = (n * 37 + (n >> 8)) & 255;
      assert.equal(await redis.set(key, value), "OK");
      assert.ok((await redis.getBuffer(key)).equals(value), `${size} bytes`);
    }
  },

  // This version of ioredis reads RESP2 only, so it stays at that.
  "HELLO 2 is answered, with a name, and other versions are refused": async () => {
    const own = connect();
    await own.set("h", "1");
    const [first, second, value] = await Promise.all([
      own.call("HELLO", "2"), own.call("HELLO", "2", "SETNAME", "renamed"), own.get("h"),
    ]);
    assert.ok(first.includes("proto") && second.includes("server"));
    assert.equal(value, "1");
    assert.equal(await own.client("GETNAME"), "renamed");
    await assert.rejects(own.call("HELLO", "4"), /NOPROTO/);
    own.disconnect();
  },

  "it connects again after the server was killed, and nothing is lost": async () => {
    await redis.set("durable", "yes");
    await order("KILL");
    const queued = redis.get("durable"); // ioredis keeps it until it has connected again
    await sleep(150);
    await order("START");
    assert.equal(await queued, "yes");
    await order("RESTART");
    assert.equal(await eventually(20000, () => redis.get("durable")), "yes");
    assert.equal(await redis.client("GETNAME"), "ioredis-test");
    assert.equal(await redis.incr("after"), 1);
  },

  "quit ends the connection": async () => {
    assert.equal(await redis.quit(), "OK");
  },
});

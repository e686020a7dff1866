// iovalkey.js - a session of `iovalkey`, Valkey's fork of ioredis: pipelines, transactions, scans,
// messages, and a reconnection.
"use strict";

const assert = require("node:assert/strict");
const Valkey = require("iovalkey");
const { order, runSteps, eventually, port } = require("./session.js");

let client;

runSteps({
  "connects and works": async () => {
    client = new Valkey({ port, retryStrategy: () => 50, maxRetriesPerRequest: 200 });
    client.on("error", () => {});
    assert.equal(await client.set("a", "1"), "OK");
    assert.equal(await client.incr("a"), 2);
    assert.deepEqual(await client.getBuffer("a"), Buffer.from("2"));
  },
  "pipelines and transactions keep their order": async () => {
    const replies = await client.pipeline().set("b", 1).incr("b").get("missing").exec();
    assert.deepEqual(replies, [[null, "OK"], [null, 2], [null, null]]);
    assert.deepEqual(await client.multi().incr("b").incr("b").exec(), [[null, 3], [null, 4]]);
  },
  "scans find every key": async () => {
    for (let i = 0; i < 300; i++) await client.set(`scan:${i}`, i);
    const seen = new Set();
    for await (const keys of client.scanStream({ match: "scan:*", count: 50 })) keys.forEach((key) => seen.add(key));
    assert.equal(seen.size, 300);
  },
  "messages arrive": async () => {
    const subscriber = client.duplicate();
    const message = new Promise((resolve) => subscriber.on("pmessage", (...words) => resolve(words)));
    await subscriber.psubscribe("news.*");
    assert.equal(await client.publish("news.one", "hello"), 1);
    assert.deepEqual(await message, ["news.*", "news.one", "hello"]);
    subscriber.disconnect();
  },
  "a monitor sees commands": async () => {
    const monitor = await client.monitor();
    const seen = new Promise((resolve) => monitor.on("monitor", (time, args) => args[1] === "watched" && resolve(args)));
    await client.set("watched", "x y");
    assert.deepEqual(await seen, ["set", "watched", "x y"]);
    monitor.disconnect();
  },
  "survives a restart of the server": async () => {
    await order("RESTART");
    await eventually(20000, async () => assert.equal(await client.get("b"), "4"));
    client.disconnect();
  },
});

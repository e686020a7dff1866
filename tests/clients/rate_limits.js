// rate_limits.js - `rate-limiter-flexible` counts what visitors do, through ioredis and `redis`.
//   rate_limits.js PORT             by transactions (its limiter without scripts)
//   rate_limits.js PORT --scripts   by its script
"use strict";

const assert = require("node:assert/strict");
const { RateLimiterRedis, RateLimiterRedisNonAtomic, RateLimiterUnion } = require("rate-limiter-flexible");
const Redis = require("ioredis");
const { sleep, runSteps, port } = require("./session.js");

const scripts = process.argv[3] === "--scripts";
const Limiter = scripts ? RateLimiterRedis : RateLimiterRedisNonAtomic;
const ioredis = new Redis(port);
const nodeRedis = require("redis").createClient({ url: `redis://127.0.0.1:${port}` });

const limiter = (keyPrefix, points, duration, storeClient = ioredis) => new Limiter({
  storeClient, keyPrefix, points, duration, useRedisPackage: storeClient === nodeRedis });

runSteps({
  "so many are let pass, and no more": async () => {
    await nodeRedis.connect();
    for (const [name, client] of [["io", ioredis], ["node", nodeRedis]]) {
      const five = limiter(name, 5, 100, client);
      for (let left = 4; left >= 0; left--) {
        const passed = await five.consume("ada");
        assert.equal(passed.remainingPoints, left);
        assert.ok(passed.msBeforeNext > 95000 && passed.msBeforeNext <= 100000);
      }
      await assert.rejects(five.consume("ada"), (refused) => refused.remainingPoints === 0);
      assert.equal((await five.consume("bob", 2)).remainingPoints, 3);
      assert.equal((await five.get("ada")).consumedPoints, 6);
      await five.reward("bob", 1);
      assert.equal((await five.get("bob")).consumedPoints, 1);
      assert.equal(await five.delete("ada"), true);
      assert.equal((await five.consume("ada")).remainingPoints, 4);
      assert.ok((await ioredis.ttl(`${name}:ada`)) > 90);
    }
  },
  "they may come again when the time is over": async () => {
    const brief = limiter("brief", 1, 1);
    await brief.consume("ada");
    await assert.rejects(brief.consume("ada"));
    await sleep(1100);
    assert.equal((await brief.consume("ada")).consumedPoints, 1);
  },
  "a visitor can be kept out": async () => {
    const five = limiter("block", 5, 100);
    await five.block("ada", 50);
    await assert.rejects(five.consume("ada"));
    assert.ok((await ioredis.ttl("block:ada")) > 40);
  },
  "limits are held together": async () => {
    const both = new RateLimiterUnion(limiter("slow", 2, 100), limiter("fast", 10, 100));
    await both.consume("ada");
    await both.consume("ada");
    await assert.rejects(both.consume("ada"));
  },
  ...(scripts && { "at once, exactly so many are let pass": async () => {
    const ten = limiter("crowd", 10, 100);
    const asked = await Promise.allSettled(Array.from({ length: 100 }, () => ten.consume("all")));
    assert.equal(asked.filter((one) => one.status === "fulfilled").length, 10);
  } }),
  "both close": async () => {
    ioredis.disconnect();
    nodeRedis.destroy();
  },
});

// redlock.js - `redlock` locks, extends and releases through its scripts; under contention nobody
// holds a lock together with somebody else.
"use strict";

const assert = require("node:assert/strict");
const Redis = require("ioredis");
const Redlock = require("redlock");
const { sleep, runSteps, port } = require("./session.js");

const client = new Redis(port);
const patient = new Redlock([client], { retryCount: 400, retryDelay: 10, retryJitter: 10 });
const impatient = new Redlock([client], { retryCount: 0 });

runSteps({
  "a lock is held by one, until it is released": async () => {
    const lock = await impatient.lock("lock:one", 5000);
    assert.equal(await client.get("lock:one"), lock.value);
    await assert.rejects(impatient.lock("lock:one", 5000), /LockError|quorum|attempts/);
    await lock.unlock();
    assert.equal(await client.exists("lock:one"), 0);
    await (await impatient.lock("lock:one", 5000)).unlock();
  },
  "an extension moves its end, and fails when the lock is lost": async () => {
    const lock = await impatient.lock("lock:two", 300);
    const longer = await lock.extend(5000);
    assert.ok((await client.pttl("lock:two")) > 4000);
    await client.set("lock:two", "somebody else");
    await assert.rejects(longer.extend(5000));
    await assert.rejects(longer.unlock());
    assert.equal(await client.get("lock:two"), "somebody else");
  },
  "a lock ends with its time": async () => {
    await impatient.lock("lock:three", 100);
    await sleep(200);
    await (await impatient.lock("lock:three", 100)).unlock();
  },
  "several resources are locked together or not at all": async () => {
    const held = await impatient.lock("lock:b", 5000);
    await assert.rejects(impatient.lock(["lock:a", "lock:b", "lock:c"], 5000));
    assert.equal(await client.exists("lock:a", "lock:c"), 0);
    await held.unlock();
    const all = await impatient.lock(["lock:a", "lock:b", "lock:c"], 5000);
    assert.equal(await client.exists("lock:a", "lock:b", "lock:c"), 3);
    await all.unlock();
    assert.equal(await client.exists("lock:a", "lock:b", "lock:c"), 0);
  },
  "under contention only one is inside": async () => {
    let inside = 0;
    let counted = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 5; i++) {
        const lock = await patient.lock("lock:contended", 10000);
        assert.equal(++inside, 1);
        const before = counted;
        await sleep(2);
        counted = before + 1;
        inside--;
        await lock.unlock();
      }
    }));
    assert.equal(counted, 40);
    client.disconnect();
  },
});

// express.js - an express application keeps its sessions in the server through connect-redis; a
// browser's requests, by real HTTP, see them again, also from a second process of the application
// (a second application here), and no more after they ended.
"use strict";

const assert = require("node:assert/strict");
const { sleep, runSteps, port } = require("./session.js");

const redis = require("redis").createClient({ url: `redis://127.0.0.1:${port}` });
const servers = [];

async function application(secondsToLive) {
  const express = require("express");
  const session = require("express-session");
  const { RedisStore } = await import("connect-redis");
  const app = express();
  app.use(session({
    store: new RedisStore({ client: redis, prefix: "session:", ttl: secondsToLive }),
    secret: "not a secret", resave: false, saveUninitialized: false,
  }));
  app.get("/count", (request, response) => {
    request.session.count = (request.session.count || 0) + 1;
    response.json({ count: request.session.count });
  });
  app.get("/leave", (request, response) => request.session.destroy(() => response.json({ left: true })));
  const server = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  servers.push(server);
  return `http://127.0.0.1:${server.address().port}`;
}

class Browser {
  async get(url) {
    const response = await fetch(url, { headers: this.cookie ? { cookie: this.cookie } : {} });
    const set = response.headers.getSetCookie();
    if (set.length > 0) this.cookie = set[0].split(";")[0];
    return response.json();
  }
}

runSteps({
  "a session is kept between requests, and is the visitor's own": async () => {
    await redis.connect();
    const url = await application(60);
    const [ada, bob] = [new Browser(), new Browser()];
    for (let count = 1; count <= 5; count++) assert.deepEqual(await ada.get(`${url}/count`), { count });
    assert.deepEqual(await bob.get(`${url}/count`), { count: 1 });
    assert.deepEqual(await ada.get(`${url}/count`), { count: 6 });
    const keys = await redis.keys("session:*");
    assert.equal(keys.length, 2);
    assert.ok((await redis.ttl(keys[0])) > 50);
    const second = await application(60);
    assert.deepEqual(await ada.get(`${second}/count`), { count: 7 });
    await ada.get(`${url}/leave`);
    assert.equal((await redis.keys("session:*")).length, 1);
    assert.deepEqual(await ada.get(`${url}/count`), { count: 1 });
  },
  "a session ends with its time": async () => {
    const url = await application(1);
    const visitor = new Browser();
    assert.deepEqual(await visitor.get(`${url}/count`), { count: 1 });
    await sleep(1300);
    assert.deepEqual(await visitor.get(`${url}/count`), { count: 1 });
  },
  "everything closes": async () => {
    for (const server of servers) server.close();
    redis.destroy();
  },
});

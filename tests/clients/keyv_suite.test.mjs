// keyv_suite.test.mjs - see keyv_suite.js.
import KeyvRedis from "@keyv/redis";
import keyvTestSuite, { keyvIteratorTests } from "@keyv/test-suite";
import Keyv from "keyv";
import * as test from "vitest";

const store = () => new KeyvRedis(`redis://127.0.0.1:${process.env.KVS_TEST_PORT}`);

keyvTestSuite(test, Keyv, store);
keyvIteratorTests(test, Keyv, store);

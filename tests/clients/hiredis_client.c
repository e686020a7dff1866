/* hiredis_client.c - a session of hiredis: typed replies, binary data, pipelines, errors, and a
 * pipeline long enough to need many reads and writes. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static redisContext *context;

static void fail(const char *what) {
  fprintf(stderr, "%s failed: %s\n", what, context->err ? context->errstr : "another reply");
  exit(1);
}

static void expect(const char *what, redisReply *reply, int type, const char *text, size_t size,
                   long long integer) {
  if (reply == NULL || reply->type != type) fail(what);
  if (type == REDIS_REPLY_INTEGER && reply->integer != integer) fail(what);
  if (text != NULL && (reply->len != size || memcmp(reply->str, text, size) != 0)) fail(what);
  freeReplyObject(reply);
}

int main(int argc, char **argv) {
  enum { pipelined = 20000 };
  const struct timeval timeout = {20, 0};
  redisReply *reply = NULL;
  if (argc != 2) return 2;
  context = redisConnectWithTimeout("127.0.0.1", atoi(argv[1]), timeout);
  if (context == NULL || context->err) return 1;
  redisSetTimeout(context, timeout);

  expect("PING", redisCommand(context, "PING"), REDIS_REPLY_STATUS, "PONG", 4, 0);
  expect("SET", redisCommand(context, "SET %b %b", "k\0y", (size_t)3, "v\0\r\nx", (size_t)5),
         REDIS_REPLY_STATUS, "OK", 2, 0);
  expect("GET", redisCommand(context, "GET %b", "k\0y", (size_t)3), REDIS_REPLY_STRING, "v\0\r\nx",
         5, 0);
  expect("GET of what is absent", redisCommand(context, "GET nothing"), REDIS_REPLY_NIL, NULL, 0, 0);
  expect("INCRBY", redisCommand(context, "INCRBY n %lld", 1LL << 40), REDIS_REPLY_INTEGER, NULL, 0,
         1LL << 40);
  reply = redisCommand(context, "MGET n nothing");
  if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
      reply->element[1]->type != REDIS_REPLY_NIL) {
    fail("MGET");
  }
  freeReplyObject(reply);
  reply = redisCommand(context, "NOSUCH a");
  if (reply == NULL || reply->type != REDIS_REPLY_ERROR ||
      strncmp(reply->str, "ERR unknown command", 19) != 0) {
    fail("unknown command");
  }
  freeReplyObject(reply);

  for (int i = 0; i < pipelined; ++i) {
    if (redisAppendCommand(context, "INCR counter") != REDIS_OK) fail("append");
  }
  for (int i = 1; i <= pipelined; ++i) {
    if (redisGetReply(context, (void **)&reply) != REDIS_OK) fail("pipeline");
    expect("pipeline", reply, REDIS_REPLY_INTEGER, NULL, 0, i);
  }
  expect("QUIT", redisCommand(context, "QUIT"), REDIS_REPLY_STATUS, "OK", 2, 0);
  redisFree(context);
  puts("ok");
  return 0;
}

#include "daemon/absent_commands.h"

#include <array>

#include "daemon/commands/arguments.h"

namespace kvs::daemon {

namespace {

struct Family {
  std::string_view reason;
  std::string_view commands;  // between spaces, sorted
};

constexpr std::array families = {
    Family{"this server has no lists",
           " blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush "
           "lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx "},
    Family{
        "this server has no hashes",
        " hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan "
        "hset hsetnx hstrlen hvals "},
    Family{
        "this server has no sets",
        " sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember "
        "smove spop srandmember srem sscan sunion sunionstore "},
    Family{"this server has no sorted sets",
           " bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard "
           "zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex "
           "zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore "
           "zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore "},
    Family{"this server has no streams",
           " xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange xread xreadgroup "
           "xrevrange xsetid xtrim "},
    Family{"this server has no geospatial indexes",
           " geoadd geodist geohash geopos georadius georadius_ro georadiusbymember "
           "georadiusbymember_ro geosearch geosearchstore "},
    Family{"this server has nothing that could be sorted", " sort sort_ro "},
    Family{"this server runs no Lua", " fcall fcall_ro function "},
    Family{"this server is no cluster", " asking cluster restore-asking "},
    Family{"this server does not replicate", " failover psync replconf replicaof slaveof sync "},
    Family{"this server opens no connections", " migrate "},
    Family{"this server loads no modules", " module "},
    Family{"this server has no such debugging aids", " pfdebug pfselftest "},
};

}  // namespace

std::string_view why_absent(std::string_view name) {
  constexpr std::size_t name_bytes_max = 32;
  if (name.empty() || name.size() > name_bytes_max) return {};
  if (name.find(' ') != std::string_view::npos) return {};
  const std::string wanted = ' ' + lower_case(name) + ' ';
  for (const Family& family : families) {
    if (family.commands.find(wanted) != std::string_view::npos) return family.reason;
  }
  return {};
}

}  // namespace kvs::daemon

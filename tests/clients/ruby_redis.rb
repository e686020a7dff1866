# ruby_redis.rb - a session of Debian's ruby-redis: strings, transactions that are tried again,
# pipelines, scans and messages.
require "redis"
require "timeout"

def check(expected, actual, what)
  return if expected == actual
  warn "#{what}: expected #{expected.inspect}, got #{actual.inspect}"
  exit 1
end

Timeout.timeout(40) do
  redis = Redis.new(host: "127.0.0.1", port: ARGV.fetch(0).to_i, timeout: 10)
  check("PONG", redis.ping, "ping")
  check("OK", redis.set("name", "Ada\x00\xFF".b), "set")
  check("Ada\x00\xFF".b, redis.get("name").b, "get")
  check(false, redis.set("name", "x", nx: true), "set nx")
  check("OK", redis.setex("brief", 100, "x"), "setex")
  check(true, redis.ttl("brief") > 90, "ttl")
  check(3, redis.incrby("n", 3), "incrby")
  check(["1", nil], (redis.mset("a", 1); redis.mget("a", "zz")), "mget")
  check({ "a" => "1", "zz" => nil }, redis.mapped_mget("a", "zz"), "mapped_mget")
  check(["OK", 1, "1"], redis.pipelined { |p| p.set("p", 0); p.incr("p"); p.get("p") }, "pipelined")
  check(["OK", 1], redis.multi { |m| m.set("m", 0); m.incr("m") }, "multi")

  other = Redis.new(host: "127.0.0.1", port: ARGV.fetch(0).to_i)
  tries = 0
  done = nil
  until done
    done = redis.watch("n") do
      value = redis.get("n").to_i
      other.incr("n") if (tries += 1) == 1
      redis.multi { |m| m.set("n", value * 10) }
    end
  end
  check(2, tries, "a transaction whose key changed is tried again")
  check("40", redis.get("n"), "and then sees the new value")

  300.times { |i| redis.set("scan:#{i}", i) }
  check(300, redis.scan_each(match: "scan:*", count: 50).to_a.uniq.size, "scan")

  got = nil
  subscriber = Thread.new do
    Redis.new(host: "127.0.0.1", port: ARGV.fetch(0).to_i).subscribe("news") do |on|
      on.message { |_, text| got = text; raise StopIteration }
    end
  rescue StopIteration
    nil
  end
  sleep 0.02 until redis.publish("news", "hello") == 1
  subscriber.join(10)
  check("hello", got, "a message")

  begin
    redis.call("NOSUCH")
    check("an error", "none", "unknown command")
  rescue Redis::CommandError => error
    check(true, error.message.start_with?("ERR unknown command"), "unknown command")
  end
  check("yes", redis.config(:get, "appendonly")["appendonly"], "config")
  check("0", redis.info["loading"], "info")
  puts "ok"
end

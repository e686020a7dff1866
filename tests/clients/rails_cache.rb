# rails_cache.rb - Rails' cache on Debian's ruby-activesupport and ruby-redis: values of all kinds,
# times to live, counters, many at once, patterns, races, and a server that is away for a while.
require "logger"
require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "active_support/core_ext/numeric"
require "timeout"

def check(expected, actual, what)
  return if expected == actual
  warn "#{what}: expected #{expected.inspect}, got #{actual.inspect}"
  exit 1
end

port = ARGV.fetch(0).to_i
problems = []
Timeout.timeout(40) do
  cache = ActiveSupport::Cache::RedisCacheStore.new(
    url: "redis://127.0.0.1:#{port}/4", namespace: "app", expires_in: 100,
    error_handler: ->(method:, returning:, exception:) { problems << [method, exception] },
  )
  redis = Redis.new(host: "127.0.0.1", port: port, db: 4)

  ["text", 42, 2.5, nil, [1, { a: "\x00\xFF".b }], "long" * 10_000].each do |value|
    check(true, !!cache.write("value", value), "write")
    check(value, cache.read("value"), "read")
  end
  check(true, cache.exist?("value"), "exist?")
  check(true, (90..100).cover?(redis.ttl("app:value")), "the store's time to live")
  check(nil, cache.read("missing"), "read of what is absent")
  check(false, cache.write("value", 1, unless_exist: true), "unless_exist")
  check(true, !!cache.delete("value"), "delete")

  computed = 0
  3.times { check(7, cache.fetch("computed") { computed += 1; 7 }, "fetch") }
  check(1, computed, "a value is computed once")
  check({ "a" => 1, "b" => 2 }, cache.write_multi({ "a" => 1, "b" => 2 }) && cache.read_multi("a", "b", "c"),
        "many at once")
  check({ "a" => 1, "c" => "C" }, cache.fetch_multi("a", "c") { |name| name.upcase }, "fetch_multi")
  check(2, cache.delete_multi(%w[a b missing]), "delete_multi")

  check(1, cache.increment("hits", 1, expires_in: 50), "increment")
  check(6, cache.increment("hits", 5, expires_in: 500), "increment again")
  check(4, cache.decrement("hits", 2), "decrement")
  check(true, (40..50).cover?(redis.ttl("app:hits")), "a counter keeps its time to live")

  1200.times { |i| cache.write("list/#{i}", i) }
  cache.write("other", 1)
  cache.delete_matched("list/*")
  check(0, redis.keys("app:list/*").size, "delete_matched")
  check(1, cache.read("other"), "what does not match stays")

  cache.write("brief", 1, expires_in: 0.1)
  sleep 0.2
  check(nil, cache.read("brief"), "a value ends with its time")

  other = ActiveSupport::Cache::RedisCacheStore.new(url: "redis://127.0.0.1:#{port}/4", namespace: "two")
  other.write("same", 2)
  cache.write("same", 1)
  other.clear
  check([1, nil], [cache.read("same"), other.read("same")], "a name space is cleared alone")
  check([], problems, "problems")

  # What later versions of Rails, and Sidekiq, look at before they send EXPIRE ... NX, or start at all.
  info = redis.info
  check(true, Gem::Version.new(info["redis_version"]) >= Gem::Version.new("7.0.0"), "version")
  check("noeviction", info["maxmemory_policy"], "policy")
  redis.set("counter", 1)
  check([1, 0], [redis.call(["EXPIRE", "counter", "50", "NX"]), redis.call(["EXPIRE", "counter", "9", "NX"])],
        "EXPIRE NX")
  puts "ok"
end

<?php
// phpredis.php - a session of Debian's php-redis: strings, transactions, serialized values, scans,
// databases, connections that outlive their user, and messages.
declare(strict_types=1);

$port = (int)$argv[1];

function check($expected, $actual, string $what): void {
    if ($expected === $actual) return;
    fwrite(STDERR, "$what: expected " . var_export($expected, true) . ", got " . var_export($actual, true) . "\n");
    exit(1);
}

$redis = new Redis();
$redis->connect('127.0.0.1', $port, 10.0);
check(true, $redis->ping(), 'ping');
check(true, $redis->set('name', "Ada\0\xff"), 'set');
check("Ada\0\xff", $redis->get('name'), 'get');
check(false, $redis->get('missing'), 'get of what is absent');
check(false, $redis->set('name', 'x', ['nx', 'ex' => 10]), 'set nx');
check(true, $redis->set('brief', 'x', ['px' => 100000]), 'set px');
check(true, $redis->pttl('brief') > 90000, 'pttl');
check(3, $redis->incrBy('n', 3), 'incrby');
check(4.5, $redis->incrByFloat('n', 1.5), 'incrbyfloat');
check(true, $redis->mset(['a' => '1', 'b' => '2']), 'mset');
check(['1', false, '2'], $redis->mget(['a', 'zz', 'b']), 'mget');
check(2, $redis->del('a', 'b', 'zz'), 'del');
check([true, 1, '1'], $redis->multi()->set('m', 0)->incr('m')->get('m')->exec(), 'multi');
check([true, 1], $redis->pipeline()->set('p', 0)->incr('p')->exec(), 'pipeline');
check(true, $redis->setBit('bits', 3, true) === 0 && $redis->bitCount('bits') === 1, 'bits');

$redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
$redis->set('object', ['deep' => [1, 2.5, null]]);
check(['deep' => [1, 2.5, null]], $redis->get('object'), 'serialized');
$redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);

for ($i = 0; $i < 300; ++$i) $redis->set("scan:$i", $i);
$redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
$seen = [];
$cursor = null;
while ($keys = $redis->scan($cursor, 'scan:*', 50)) foreach ($keys as $key) $seen[$key] = true;
check(300, count($seen), 'scan');

check(false, $redis->rawCommand('NOSUCH'), 'unknown command');
check(true, str_starts_with($redis->getLastError(), "ERR unknown command"), 'its error');
$redis->clearLastError();
check('yes', $redis->config('GET', 'appendonly')['appendonly'], 'config');
check('0', (string)$redis->info('persistence')['loading'], 'info');


// A connection that outlives its user is probed with ECHO when it is used again.
ini_set('redis.pconnect.echo_check_liveness', '1');
for ($use = 1; $use <= 3; ++$use) {
    $kept = new Redis();
    check(true, $kept->pconnect('127.0.0.1', $port, 10.0), 'pconnect');
    check(true, $kept->select(5), 'select');
    check($use, $kept->incr('uses'), 'a kept connection');
    $kept->close();
}

$subscriber = new Redis();
$subscriber->connect('127.0.0.1', $port, 10.0);
$subscriber->setOption(Redis::OPT_READ_TIMEOUT, 10);
$heard = null;
// subscribe() ends with its connection alone: the publisher, a process of its own, sees to that.
$code = '$r = new Redis(); $r->connect("127.0.0.1", ' . $port . ');'
      . ' for ($i = 0; $i < 500 && $r->publish("news", "hello") === 0; ++$i) usleep(10000);'
      . ' $r->rawCommand("CLIENT", "KILL", "TYPE", "pubsub");';
$publisher = proc_open(['php', '-r', $code], [], $pipes);
try {
    $subscriber->subscribe(['news'], function ($connection, $channel, $message) use (&$heard) {
        $heard = [$channel, $message];
    });
} catch (RedisException) {
}
check(['news', 'hello'], $heard, 'a message');
check(0, proc_close($publisher), 'the publisher');

try {
    (new Redis())->connect('127.0.0.1', $port) && $redis->auth('x');
    check('an error', 'none', 'auth without a password in force');
} catch (RedisException $problem) {
    check(true, str_contains($problem->getMessage(), 'without any password configured'), 'the error of auth');
}
echo "ok\n";

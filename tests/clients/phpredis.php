<?php
// phpredis.php - a session of Debian's php-redis: strings, transactions, scans, messages, and PHP's
// own sessions kept in the server, with and without locking.
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

// Sessions. Each is a fresh start as a request would make it.
$has_scripts = $redis->rawCommand('COMMAND', 'INFO', 'eval')[0] !== null;
ini_set('session.save_handler', 'redis');
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
ini_set('session.save_path', "tcp://127.0.0.1:$port?prefix=SESSION:&database=2");
foreach ($has_scripts ? ['0', '1'] : ['0'] as $locking) {
    ini_set('redis.session.locking_enabled', $locking);
    $id = "visitor$locking";
    for ($visit = 1; $visit <= 3; ++$visit) {
        session_id($id);
        check(true, session_start(), 'session_start');
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
        check($visit, $_SESSION['visits'], 'visits of a session');
        if ($locking === '1') {
            $redis->select(2);
            check(1, $redis->exists("SESSION:${id}_LOCK"), 'the session is locked while it is open');
            $redis->select(0);
        }
        session_write_close();
        if ($locking === '1') {
            $redis->select(2);
            check(0, $redis->exists("SESSION:${id}_LOCK"), 'the lock is released');
            $redis->select(0);
        }
        $_SESSION = [];
    }
    $redis->select(2);
    check(true, $redis->ttl("SESSION:$id") > 1000, 'a session ends by itself');
    session_id($id);
    session_start();
    session_destroy();
    check(0, $redis->exists("SESSION:$id"), 'a destroyed session is gone');
    $redis->select(0);
}
echo 'ok', $has_scripts ? ', with session locks' : ', session locks left out: the server has no EVAL', "\n";

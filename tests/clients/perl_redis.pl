# perl_redis.pl - a session of Debian's libredis-perl: strings, pipelines by callback, transactions,
# messages, and reconnecting.
use strict;
use warnings;
use Redis;

alarm 40;

sub check {
  my ($expected, $actual, $what) = @_;
  $actual = 'undef' unless defined $actual;
  return if $expected eq $actual;
  die "$what: expected $expected, got $actual\n";
}

my $port = $ARGV[0];
my $redis = Redis->new(server => "127.0.0.1:$port", name => 'perl-test', reconnect => 5, every => 50_000);
check('PONG', $redis->ping, 'ping');
check('perl-test', $redis->client_getname, 'name');
check('OK', $redis->set(name => "Ada\0\xff"), 'set');
check("Ada\0\xff", $redis->get('name'), 'get');
check('undef', $redis->get('missing'), 'get of what is absent');
check(3, $redis->incrby('n', 3), 'incrby');
check('OK', $redis->mset(a => 1, b => 2), 'mset');
check('1,undef,2', join(',', map { defined ? $_ : 'undef' } $redis->mget('a', 'zz', 'b')), 'mget');
check('OK', $redis->setex('brief', 100, 'x'), 'setex');
check(1, $redis->ttl('brief') > 90 ? 1 : 0, 'ttl');

my @replies;
$redis->incr('p', sub { push @replies, $_[0] }) for 1 .. 100;
$redis->wait_all_responses;
check(join(',', 1 .. 100), join(',', @replies), 'pipelined');

$redis->multi;
$redis->incr('m');
$redis->incr('m');
check('1,2', join(',', $redis->exec), 'transaction');

my $got = '';
my $subscriber = Redis->new(server => "127.0.0.1:$port");
$subscriber->subscribe('news', sub { $got = $_[0] });
check(1, $redis->publish('news', 'hello'), 'publish');
$subscriber->wait_for_messages(1);
check('hello', $got, 'message');

check(1, eval { $redis->nosuch('x'); 0 } // ($@ =~ /ERR unknown command/ ? 1 : 0), 'unknown command');
check('0', $redis->info->{loading}, 'info');
check('yes', {$redis->config_get('appendonly')}->{appendonly}, 'config');
$redis->quit;
print "ok\n";

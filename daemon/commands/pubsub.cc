// pubsub.cc - publish/subscribe: SUBSCRIBE and its relatives, PUBLISH, PUBSUB.
//
// The commands that change subscriptions answer one confirmation per name. Messages themselves do
// not pass through here: PUBLISH hands them to Context, which lets them leave when everything that
// was written before them is visible, and mailbox.h brings them to the connections.
#include "daemon/pubsub.h"

#include <array>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

constexpr std::array<std::string_view, subscription_kinds> subscribed_words = {
    "subscribe", "psubscribe", "ssubscribe"};
constexpr std::array<std::string_view, subscription_kinds> unsubscribed_words = {
    "unsubscribe", "punsubscribe", "sunsubscribe"};

std::size_t index_of(Subscription kind) {
  return static_cast<std::size_t>(kind);
}

// What a confirmation counts: shard channels apart, channels and patterns together.
std::int64_t count_of(const Client& client, Subscription kind) {
  const Subscriptions& own = client.subscriptions;
  const std::size_t count = kind == Subscription::shard ? own.of(Subscription::shard).size()
                                                        : own.of(Subscription::channel).size() +
                                                              own.of(Subscription::pattern).size();
  return static_cast<std::int64_t>(count);
}

void note_count(Client& client, Subscription kind) {
  client.shared->subscriptions[index_of(kind)].store(
      static_cast<unsigned>(client.subscriptions.of(kind).size()), std::memory_order_relaxed);
}

void subscribe(Context& context, Args args, Subscription kind, ReplyWriter& reply) {
  Client& client = context.client;
  for (const std::string_view name : args.subspan(1)) {
    if (client.subscriptions.of(kind).emplace(name).second) {
      client.subscriptions.bytes += name.size() + sizeof(std::string);
      // First: whoever has been told of a receiver finds one with CLIENT KILL TYPE pubsub.
      note_count(client, kind);
      context.services.pubsub.subscribe(kind, name, client.mailbox);
    }
    reply.push(3);
    reply.bulk(subscribed_words[index_of(kind)]);
    reply.bulk(name);
    reply.integer(count_of(client, kind));
  }
}

void unsubscribe(Context& context, Args args, Subscription kind, ReplyWriter& reply) {
  Client& client = context.client;
  Subscriptions::Names& own = client.subscriptions.of(kind);
  const auto confirm = [&](const std::string* name) {
    reply.push(3);
    reply.bulk(unsubscribed_words[index_of(kind)]);
    if (name != nullptr) {
      reply.bulk(*name);
    } else {
      reply.null();
    }
    reply.integer(count_of(client, kind));
  };
  std::vector<std::string> names(args.begin() + 1, args.end());
  if (names.empty()) names.assign(own.begin(), own.end());
  if (names.empty()) return confirm(nullptr);
  for (const std::string& name : names) {
    if (own.erase(name) == 1) {
      client.subscriptions.bytes -= name.size() + sizeof(std::string);
      context.services.pubsub.unsubscribe(kind, name, *client.mailbox);
      note_count(client, kind);
    }
    confirm(&name);
  }
}

void subscribe_command(Context& context, Args args, ReplyWriter& reply) {
  subscribe(context, args, Subscription::channel, reply);
}

void psubscribe_command(Context& context, Args args, ReplyWriter& reply) {
  subscribe(context, args, Subscription::pattern, reply);
}

void ssubscribe_command(Context& context, Args args, ReplyWriter& reply) {
  subscribe(context, args, Subscription::shard, reply);
}

void unsubscribe_command(Context& context, Args args, ReplyWriter& reply) {
  unsubscribe(context, args, Subscription::channel, reply);
}

void punsubscribe_command(Context& context, Args args, ReplyWriter& reply) {
  unsubscribe(context, args, Subscription::pattern, reply);
}

void sunsubscribe_command(Context& context, Args args, ReplyWriter& reply) {
  unsubscribe(context, args, Subscription::shard, reply);
}

// PUBLISH channel message: how many receive it.
void publish_command(Context& context, Args args, ReplyWriter& reply) {
  const std::size_t receivers =
      context.publish({Subscription::channel, std::string(args[1]), std::string(args[2])});
  reply.integer(static_cast<std::int64_t>(receivers));
}

void spublish_command(Context& context, Args args, ReplyWriter& reply) {
  const std::size_t receivers =
      context.publish({Subscription::shard, std::string(args[1]), std::string(args[2])});
  reply.integer(static_cast<std::int64_t>(receivers));
}

void list_names(Context& context, Args args, Subscription kind, ReplyWriter& reply) {
  std::optional<std::string_view> glob;
  if (args.size() == 3) glob = args[2];
  const auto names = context.services.pubsub.names(kind, glob);
  reply.array(names.size());
  for (const std::string& name : names) reply.bulk(name);
}

void count_subscribers(Context& context, Args args, Subscription kind, ReplyWriter& reply) {
  const Args names = args.subspan(2);
  reply.array(2 * names.size());
  for (const std::string_view name : names) {
    reply.bulk(name);
    reply.integer(static_cast<std::int64_t>(context.services.pubsub.subscribers(kind, name)));
  }
}

// PUBSUB CHANNELS [pattern]: channels with subscribers.
void pubsub_channels(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply_wrong_subcommand(reply, args);
  list_names(context, args, Subscription::channel, reply);
}

void pubsub_shardchannels(Context& context, Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply_wrong_subcommand(reply, args);
  list_names(context, args, Subscription::shard, reply);
}

void pubsub_numsub(Context& context, Args args, ReplyWriter& reply) {
  count_subscribers(context, args, Subscription::channel, reply);
}

void pubsub_shardnumsub(Context& context, Args args, ReplyWriter& reply) {
  count_subscribers(context, args, Subscription::shard, reply);
}

void pubsub_numpat(Context& context, Args, ReplyWriter& reply) {
  reply.integer(static_cast<std::int64_t>(context.services.pubsub.count(Subscription::pattern)));
}

void pubsub_help(Context&, Args, ReplyWriter& reply) {
  constexpr std::array<std::string_view, 11> lines = {
      "CHANNELS [<pattern>]",
      "    Return the currently active channels matching a <pattern> (default: '*').",
      "NUMPAT",
      "    Return number of subscriptions to patterns.",
      "NUMSUB [<channel> ...]",
      "    Return the number of subscribers for the specified channels, excluding",
      "    pattern subscriptions(default: no channels).",
      "SHARDCHANNELS [<pattern>]",
      "    Return the currently active shard level channels matching a <pattern> (default: '*').",
      "SHARDNUMSUB [<shardchannel> ...]",
      "    Return the number of subscribers for the specified shard level channel(s)",
  };
  reply_help(reply, "PUBSUB", lines);
}

constexpr KeyRange no_keys{};
constexpr KeyRange shard_channel{1, 1, 1};
constexpr KeyRange shard_channels{1, -1, 1};
constexpr std::uint32_t listening = no_script | loading | stale | pubsub_family | while_subscribed;
constexpr std::uint32_t telling = fast | loading | stale | pubsub_family | may_replicate;
constexpr std::uint32_t looking = loading | stale | pubsub_family;

constexpr std::array subcommand_rows{
    Command{"pubsub|channels",
            -2,
            looking,
            no_keys,
            pubsub_channels,
            {"Returns the channels that have subscribers.", "2.8.0", "pubsub",
             "O(N) with N the number of channels", "[pattern]"}},
    Command{"pubsub|help",
            2,
            loading | stale,
            no_keys,
            pubsub_help,
            {"Lists the subcommands.", "6.2.0", "pubsub", "O(1)", ""}},
    Command{"pubsub|numpat",
            2,
            looking,
            no_keys,
            pubsub_numpat,
            {"Counts the patterns that have subscribers.", "2.8.0", "pubsub", "O(1)", ""}},
    Command{"pubsub|numsub",
            -2,
            looking,
            no_keys,
            pubsub_numsub,
            {"Counts the subscribers of channels.", "2.8.0", "pubsub",
             "O(N) with N the number of channels asked for", "[channel [channel ...]]"}},
    Command{"pubsub|shardchannels",
            -2,
            looking,
            no_keys,
            pubsub_shardchannels,
            {"Returns the shard channels that have subscribers.", "7.0.0", "pubsub",
             "O(N) with N the number of channels", "[pattern]"}},
    Command{"pubsub|shardnumsub",
            -2,
            looking,
            no_keys,
            pubsub_shardnumsub,
            {"Counts the subscribers of shard channels.", "7.0.0", "pubsub",
             "O(N) with N the number of channels asked for", "[shardchannel [shardchannel ...]]"}},
};

constexpr std::array rows{
    Command{"psubscribe",
            -2,
            listening,
            no_keys,
            psubscribe_command,
            {"Listens to the channels that match patterns.", "2.0.0", "pubsub",
             "O(N) with N the number of patterns", "pattern [pattern ...]"}},
    Command{"publish",
            3,
            telling,
            no_keys,
            publish_command,
            {"Sends a message to a channel.", "2.0.0", "pubsub",
             "O(N+M) with N the number of subscribers and M the number of patterns",
             "channel message"}},
    Command{"pubsub",
            -2,
            0,
            no_keys,
            nullptr,
            {"A container for commands about subscriptions.", "2.8.0", "pubsub",
             "Depends on subcommand.", ""},
            subcommand_rows},
    Command{"punsubscribe",
            -1,
            listening,
            no_keys,
            punsubscribe_command,
            {"Stops listening to patterns, or to all of them.", "2.0.0", "pubsub",
             "O(N) with N the number of patterns", "[pattern [pattern ...]]"}},
    Command{"spublish",
            3,
            telling,
            shard_channel,
            spublish_command,
            {"Sends a message to a shard channel.", "7.0.0", "pubsub",
             "O(N) with N the number of subscribers", "shardchannel message", "not_key"}},
    Command{"ssubscribe",
            -2,
            listening,
            shard_channels,
            ssubscribe_command,
            {"Listens to shard channels.", "7.0.0", "pubsub", "O(N) with N the number of channels",
             "shardchannel [shardchannel ...]", "not_key"}},
    Command{"subscribe",
            -2,
            listening,
            no_keys,
            subscribe_command,
            {"Listens to channels.", "2.0.0", "pubsub", "O(N) with N the number of channels",
             "channel [channel ...]"}},
    Command{"sunsubscribe",
            -1,
            listening,
            shard_channels,
            sunsubscribe_command,
            {"Stops listening to shard channels, or to all of them.", "7.0.0", "pubsub",
             "O(N) with N the number of channels", "[shardchannel [shardchannel ...]]", "not_key"}},
    Command{"unsubscribe",
            -1,
            listening,
            no_keys,
            unsubscribe_command,
            {"Stops listening to channels, or to all of them.", "2.0.0", "pubsub",
             "O(N) with N the number of channels", "[channel [channel ...]]"}},
};

}  // namespace

std::span<const Command> pubsub_commands() {
  return rows;
}

}  // namespace kvs::daemon

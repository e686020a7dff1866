// client_caching.cc - CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: what a connection wants
// to be told so that it can keep a cache of its own (daemon/tracking.h).
#include <algorithm>

#include "daemon/client_registry.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/client_handlers.h"
#include "daemon/operations.h"

namespace kvs::daemon {

using resp::ReplyWriter;

namespace {

// Reads the words behind ON or OFF, or answers what is wrong with them.
std::optional<TrackingOptions> tracking_options(Context& context, Args words, ReplyWriter& reply) {
  TrackingOptions options;
  const auto refuse = [&reply](std::string_view error) {
    reply.error(error);
    return std::nullopt;
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_more = i + 1 < words.size();
    if (is_word(words[i], "REDIRECT") && has_more) {
      if (options.redirect != 0) {
        return refuse("ERR A client can only redirect to a single other client");
      }
      const auto id = integer_argument(words[++i], reply);
      if (!id) return std::nullopt;
      options.redirect = static_cast<std::uint64_t>(*id);
      if (context.services.clients.find(options.redirect) == nullptr) {
        return refuse("ERR The client ID you want redirect to does not exist");
      }
    } else if (is_word(words[i], "BCAST")) {
      options.broadcast = true;
    } else if (is_word(words[i], "OPTIN")) {
      options.opt_in = true;
    } else if (is_word(words[i], "OPTOUT")) {
      options.opt_out = true;
    } else if (is_word(words[i], "NOLOOP")) {
      options.no_loop = true;
    } else if (is_word(words[i], "PREFIX") && has_more) {
      options.prefixes.emplace_back(words[++i]);
    } else {
      return refuse(texts::syntax_error);
    }
  }
  return options;
}

bool overlap(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

// A key must have at most one prefix, or it would be told twice.
std::optional<std::string> collision(const TrackingOptions& before, const TrackingOptions& wanted) {
  const auto text = [](const std::string& one, const std::string& other, std::string_view which) {
    return "ERR Prefix '" + one + "' overlaps with " + std::string(which) + " prefix '" + other +
           "'. Prefixes for a single client must not overlap.";
  };
  for (std::size_t i = 0; i < wanted.prefixes.size(); ++i) {
    for (const std::string& old : before.prefixes) {
      if (overlap(wanted.prefixes[i], old)) return text(wanted.prefixes[i], old, "an existing");
    }
    for (std::size_t j = i + 1; j < wanted.prefixes.size(); ++j) {
      if (overlap(wanted.prefixes[i], wanted.prefixes[j])) {
        return text(wanted.prefixes[i], wanted.prefixes[j], "another provided");
      }
    }
  }
  return std::nullopt;
}

// What contradicts itself, or what the connection has been told before.
std::optional<std::string> contradiction(const TrackingOptions& before,
                                         const TrackingOptions& wanted) {
  if (!wanted.broadcast && !wanted.prefixes.empty()) {
    return "ERR PREFIX option requires BCAST mode to be enabled";
  }
  if (before.on && before.broadcast != wanted.broadcast) {
    return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  if (wanted.broadcast && (wanted.opt_in || wanted.opt_out)) {
    return "ERR OPTIN and OPTOUT are not compatible with BCAST";
  }
  if (wanted.opt_in && wanted.opt_out) {
    return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  }
  if ((wanted.opt_in && before.opt_out) || (wanted.opt_out && before.opt_in)) {
    return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  return wanted.broadcast ? collision(before, wanted) : std::nullopt;
}

}  // namespace

// CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP].
void client_tracking(Context& context, Args args, ReplyWriter& reply) {
  Client& client = context.client;
  auto wanted = tracking_options(context, args.subspan(3), reply);
  if (!wanted) return;
  Tracking& tracking = context.services.operations.tracking;
  if (is_word(args[2], "OFF")) {
    stop_tracking(client, tracking);
    return reply.ok();
  }
  if (!is_word(args[2], "ON")) return reply.error(texts::syntax_error);
  if (const auto error = contradiction(client.tracking, *wanted)) return reply.error(*error);

  // Prefixes add up; everything else is as said last.
  wanted->on = true;
  if (wanted->broadcast) {
    std::vector<std::string>& prefixes = wanted->prefixes;
    if (prefixes.empty()) prefixes.emplace_back();  // every key, beside what was asked for before
    prefixes.insert(prefixes.begin(), client.tracking.prefixes.begin(),
                    client.tracking.prefixes.end());
    std::sort(prefixes.begin(), prefixes.end());
    prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  }
  std::weak_ptr<Mailbox> target;
  if (wanted->redirect != 0) {
    if (const auto other = context.services.clients.find(wanted->redirect)) {
      target = other->mailbox;
    }
  }
  tracking.start(client.shared->id, *wanted, client.mailbox, std::move(target));
  client.tracking = *std::move(wanted);
  client.shared->redirect.store(static_cast<std::int64_t>(client.tracking.redirect),
                                std::memory_order_relaxed);
  client.shared->set(ClientShared::tracking_flag);
  if (client.tracking.broadcast) client.shared->set(ClientShared::broadcast_flag);
  reply.ok();
}

// CLIENT CACHING YES | NO: about the next command.
void client_caching(Context& context, Args args, ReplyWriter& reply) {
  TrackingOptions& options = context.client.tracking;
  if (!options.on) {
    return reply.error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
  }
  if (is_word(args[2], "YES")) {
    if (!options.opt_in) {
      return reply.error(
          "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    }
    options.caching = TrackingOptions::Caching::yes;
  } else if (is_word(args[2], "NO")) {
    if (!options.opt_out) {
      return reply.error(
          "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    }
    options.caching = TrackingOptions::Caching::no;
  } else {
    return reply.error(texts::syntax_error);
  }
  reply.ok();
}

void client_getredir(Context& context, Args, ReplyWriter& reply) {
  const TrackingOptions& options = context.client.tracking;
  reply.integer(options.on ? static_cast<std::int64_t>(options.redirect) : -1);
}

void client_trackinginfo(Context& context, Args, ReplyWriter& reply) {
  const TrackingOptions& options = context.client.tracking;
  std::vector<std::string_view> flags{options.on ? "on" : "off"};
  if (options.broadcast) flags.emplace_back("bcast");
  if (options.opt_in) flags.emplace_back("optin");
  if (options.opt_in && options.caching == TrackingOptions::Caching::yes) {
    flags.emplace_back("caching-yes");
  }
  if (options.opt_out) flags.emplace_back("optout");
  if (options.opt_out && options.caching == TrackingOptions::Caching::no) {
    flags.emplace_back("caching-no");
  }
  if (options.no_loop) flags.emplace_back("noloop");
  if (context.services.operations.tracking.broken(context.client.shared->id)) {
    flags.emplace_back("broken_redirect");
  }
  reply.map(3);
  reply.bulk("flags");
  reply.set(flags.size());
  for (const std::string_view flag : flags) reply.bulk(flag);
  reply.bulk("redirect");
  reply.integer(options.on ? static_cast<std::int64_t>(options.redirect) : -1);
  reply.bulk("prefixes");
  reply.array(options.prefixes.size());
  for (const std::string& prefix : options.prefixes) reply.bulk(prefix);
}

}  // namespace kvs::daemon

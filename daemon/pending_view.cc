#include "daemon/pending_view.h"

#include <algorithm>
#include <random>
#include <utility>

namespace kvs::daemon {

namespace {

std::optional<KeyInfo> found(const Result<std::optional<KeyInfo>>& result) {
  return result ? *result : std::nullopt;
}

}  // namespace

std::optional<KeyInfo> PendingView::committed(Key key) const {
  if (session_.cleared(key.database)) return std::nullopt;
  key.database = session_.committed_as(key.database);
  return found(engine_.find(key, Access::may_block));
}

std::optional<KeyInfo> PendingView::now(Key key) const {
  return found(session_.find(key, Access::may_block));
}

std::vector<std::string> PendingView::created(Database database) const {
  std::vector<std::string> names;
  session_.visit_pending(database, [&](std::string_view name) {
    const Key key{database, name};
    if (now(key) && !committed(key)) names.emplace_back(name);
  });
  return names;
}

DatabaseStats PendingView::stats(Database database) const {
  DatabaseStats stats;
  if (!session_.cleared(database)) stats = engine_.database_stats(session_.committed_as(database));
  session_.visit_pending(database, [&](std::string_view name) {
    const auto before = committed({database, name});
    const auto after = now({database, name});
    if (before) --stats.keys;
    if (before && before->expire_at != never) --stats.volatiles;
    if (after) ++stats.keys;
    if (after && after->expire_at != never) ++stats.volatiles;
  });
  return stats;
}

Result<std::uint64_t> PendingView::scan(Database database, std::uint64_t cursor, std::size_t count,
                                        const ScanVisitor& visit) const {
  if (cursor == 0) {
    for (const std::string& name : created(database)) {
      if (const auto info = now({database, name})) visit(name, *info);
    }
  }
  if (session_.cleared(database)) return std::uint64_t{0};
  const Database there = session_.committed_as(database);
  return engine_.scan(there, cursor, count, [&](std::string_view name, const KeyInfo&) {
    if (const auto info = now({database, name})) visit(name, *info);
  });
}

Result<std::optional<std::string>> PendingView::random_key(Database database) const {
  thread_local std::minstd_rand random{std::random_device()()};
  std::vector<std::string> fresh = created(database);
  const std::uint64_t keys = stats(database).keys;
  if (!fresh.empty() && random() % std::max<std::uint64_t>(keys, 1) < fresh.size()) {
    return std::move(fresh[random() % fresh.size()]);
  }
  // A removed key may be drawn; when most are removed, the scan finds one of the others.
  constexpr int draws_max = 100;
  for (int i = 0; i < draws_max && !session_.cleared(database); ++i) {
    auto drawn = engine_.random_key(session_.committed_as(database));
    if (!drawn) return drawn;
    if (!*drawn) break;
    if (now({database, **drawn})) return drawn;
  }
  std::optional<std::string> any;
  std::uint64_t cursor = 0;
  do {
    const auto next = scan(database, cursor, 1000, [&](std::string_view name, const KeyInfo&) {
      if (!any) any.emplace(name);
    });
    if (!next) return std::unexpected(next.error());
    cursor = *next;
  } while (!any && cursor != 0);
  return any;
}

}  // namespace kvs::daemon

#include "storage/async_engine.h"

#include <limits>
#include <string_view>

#include "storage/limits.h"

namespace kvs {
namespace detail {
namespace {

template <class T>
bool would_block(const Result<T>& result) {
  return !result && result.error().code() == Code::would_block;
}

Result<std::optional<std::string>> read(Engine& engine, const GetWork& work, Access access) {
  std::string value;
  auto found = engine.get({work.database, work.key}, access, value);
  if (!found) return std::unexpected(std::move(found.error()));
  if (!*found) return std::nullopt;
  return value;
}

// The deadline that `options` ask for, from now.
Result<UnixMs> deadline(const SetOptions& options) {
  if (!options.expire_after) return never;
  const UnixMs after = options.expire_after->count();
  const UnixMs now = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  if (after <= 0 || after > std::numeric_limits<UnixMs>::max() - now) {
    return fail(Code::invalid, "the time to live is out of range");
  }
  return now + after;
}

Result<void> check_size(std::string_view key, std::string_view value) {
  if (key.size() > limits::key_bytes_max) return fail(Code::too_large, "the key is too long");
  if (value.size() > limits::value_bytes_max) return fail(Code::too_large, "the value is too long");
  return {};
}

}  // namespace

std::optional<GetWork::value_type> GetWork::now(Engine& engine) const {
  auto result = read(engine, *this, Access::resident_only);
  if (would_block(result)) return std::nullopt;
  return result;
}

GetWork::value_type GetWork::run(EngineCore& core) const {
  return read(*core.engine, *this, Access::may_block);
}

std::optional<FindWork::value_type> FindWork::now(Engine& engine) const {
  auto result = engine.find({database, key}, Access::resident_only);
  if (would_block(result)) return std::nullopt;
  return result;
}

FindWork::value_type FindWork::run(EngineCore& core) const {
  return core.engine->find({database, key}, Access::may_block);
}

SetWork::value_type SetWork::run(EngineCore& core) const {
  if (auto fits = check_size(key, value); !fits) return std::unexpected(fits.error());
  const auto expire_at = deadline(options);
  if (!expire_at) return std::unexpected(expire_at.error());

  auto session = core.engine->begin();
  if (!session) return std::unexpected(session.error());
  const Key name{options.database, key};
  if (options.when != SetOptions::When::always) {
    const auto present = (*session)->find(name, Access::may_block);
    if (!present) return std::unexpected(present.error());
    if (present->has_value() != (options.when == SetOptions::When::present)) return false;
  }
  (*session)->put(name, value, *expire_at);
  if (auto committed = (*session)->commit(); !committed) return std::unexpected(committed.error());
  return true;
}

RemoveWork::value_type RemoveWork::run(EngineCore& core) const {
  auto session = core.engine->begin();
  if (!session) return std::unexpected(session.error());
  const Key name{database, key};
  const auto present = (*session)->find(name, Access::may_block);
  if (!present) return std::unexpected(present.error());
  if (!*present) return fail(Code::not_found, "Key not found");
  (*session)->remove(name);
  if (auto committed = (*session)->commit(); !committed) return std::unexpected(committed.error());
  return {};
}

ScanWork::value_type ScanWork::run(EngineCore& core) const {
  ScanStep step;
  auto next = core.engine->scan(
      database, cursor, count,
      [&step](std::string_view name, const KeyInfo&) { step.keys.emplace_back(name); });
  if (!next) return std::unexpected(next.error());
  step.cursor = *next;
  return step;
}

SyncWork::value_type SyncWork::run(EngineCore& core) const {
  const std::scoped_lock one_at_a_time(core.syncing);
  return core.engine->sync();
}

}  // namespace detail

AsyncEngine::AsyncEngine(std::shared_ptr<Engine> engine, ThreadPool pool, Reads reads)
    : core_(std::make_shared<EngineCore>(std::move(engine), std::move(pool), reads)) {
  assert(core_->engine != nullptr);
}

GetOperation AsyncEngine::get_op(std::string key, Database database) const {
  return GetOperation(core_, {std::move(key), database});
}
Task<GetOperation::value_type> AsyncEngine::get(std::string key, Database database) const {
  return run_as_task(get_op(std::move(key), database));
}
Future<GetOperation::value_type> AsyncEngine::get_future(std::string key, Database database) const {
  return boxed(get_op(std::move(key), database));
}

FindOperation AsyncEngine::find_op(std::string key, Database database) const {
  return FindOperation(core_, {std::move(key), database});
}
Task<FindOperation::value_type> AsyncEngine::find(std::string key, Database database) const {
  return run_as_task(find_op(std::move(key), database));
}
Future<FindOperation::value_type> AsyncEngine::find_future(std::string key,
                                                           Database database) const {
  return boxed(find_op(std::move(key), database));
}

SetOperation AsyncEngine::set_op(std::string key, std::string value, SetOptions options) const {
  return SetOperation(core_, {std::move(key), std::move(value), options});
}
Task<SetOperation::value_type> AsyncEngine::set(std::string key, std::string value,
                                                SetOptions options) const {
  return run_as_task(set_op(std::move(key), std::move(value), options));
}
Future<SetOperation::value_type> AsyncEngine::set_future(std::string key, std::string value,
                                                         SetOptions options) const {
  return boxed(set_op(std::move(key), std::move(value), options));
}

RemoveOperation AsyncEngine::remove_op(std::string key, Database database) const {
  return RemoveOperation(core_, {std::move(key), database});
}
Task<RemoveOperation::value_type> AsyncEngine::remove(std::string key, Database database) const {
  return run_as_task(remove_op(std::move(key), database));
}
Future<RemoveOperation::value_type> AsyncEngine::remove_future(std::string key,
                                                               Database database) const {
  return boxed(remove_op(std::move(key), database));
}

ScanOperation AsyncEngine::scan_op(std::uint64_t cursor, std::size_t count,
                                   Database database) const {
  return ScanOperation(core_, {cursor, count, database});
}
Task<ScanOperation::value_type> AsyncEngine::scan(std::uint64_t cursor, std::size_t count,
                                                  Database database) const {
  return run_as_task(scan_op(cursor, count, database));
}
Future<ScanOperation::value_type> AsyncEngine::scan_future(std::uint64_t cursor, std::size_t count,
                                                           Database database) const {
  return boxed(scan_op(cursor, count, database));
}

SyncOperation AsyncEngine::sync_op() const {
  return SyncOperation(core_, {});
}
Task<SyncOperation::value_type> AsyncEngine::sync() const {
  return run_as_task(sync_op());
}
Future<SyncOperation::value_type> AsyncEngine::sync_future() const {
  return boxed(sync_op());
}

}  // namespace kvs

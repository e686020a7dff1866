#include "tests/support/sim_fs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "storage/error.h"

namespace kvs::test {
namespace {

// Smaller than a disk's, since the files of these tests are: what is torn here into several pieces
// would be one sector otherwise, and the order in which they arrive would not be tested.
constexpr std::size_t sector_bytes = 32;

std::unexpected<Error> failed(int reason, std::string_view what, const std::string& name) {
  return std::unexpected(io_error(reason, what, name));
}

// One of the states a file may be in that was not synced since `inode.durable`.
std::string survivor(const SimFs::Inode& inode, std::mt19937_64& random) {
  const std::string& size_of = (random() & 1) != 0 ? inode.now : inode.durable;
  std::string bytes(size_of.size(), '\0');
  // Mostly all or nothing now and then, so that the edges are met too.
  const std::uint64_t bias = random() % 4;
  for (std::size_t at = 0; at < bytes.size(); at += sector_bytes) {
    const bool newer = bias == 0 ? true : bias == 1 ? false : (random() & 1) != 0;
    const std::string& from = newer ? inode.now : inode.durable;
    if (at >= from.size()) continue;
    const std::size_t count = std::min({sector_bytes, from.size() - at, bytes.size() - at});
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(at), count,
                bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return bytes;
}

}  // namespace

class SimFile final : public File {
 public:
  SimFile(std::shared_ptr<SimFs> fs, std::shared_ptr<SimFs::Inode> inode, std::string name)
      : fs_(std::move(fs)), inode_(std::move(inode)), name_(std::move(name)) {}

  Result<std::size_t> read_at(std::uint64_t offset_bytes, std::span<char> out) const override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->read_hook ? fs_->read_hook(name_) : 0) {
      return failed(reason, "read", name_);
    }
    const std::string& bytes = inode_->now;
    if (offset_bytes >= bytes.size()) return 0;
    const std::size_t count = std::min(out.size(), bytes.size() - offset_bytes);
    std::copy_n(bytes.data() + offset_bytes, count, out.data());
    return count;
  }

  Result<void> write_at(std::uint64_t offset_bytes, std::string_view bytes) override {
    std::scoped_lock lock(fs_->mutex_);
    int reason = fs_->enter(SimCall::write, name_);
    const std::size_t end = offset_bytes + bytes.size();
    if (reason == 0 && end > inode_->now.size() &&
        fs_->used_bytes() + end - inode_->now.size() > fs_->capacity_bytes) {
      reason = ENOSPC;
    }
    if (reason != 0) bytes = bytes.substr(0, bytes.size() / 2);
    if (inode_->now.size() < offset_bytes + bytes.size()) {
      inode_->now.resize(offset_bytes + bytes.size());
    }
    std::copy(bytes.begin(), bytes.end(),
              inode_->now.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
    if (reason != 0) return failed(reason, "write", name_);
    return {};
  }

  Result<void> sync_data() override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->enter(SimCall::sync_data, name_)) {
      return failed(reason, "sync", name_);
    }
    inode_->durable = inode_->now;
    return {};
  }

  void start_writeback(std::uint64_t, std::uint64_t) override {}

  Result<void> preallocate(std::uint64_t bytes) override {
    std::scoped_lock lock(fs_->mutex_);
    int reason = fs_->enter(SimCall::preallocate, name_);
    const std::size_t size = inode_->now.size();
    if (reason == 0 && bytes > size && fs_->used_bytes() + bytes - size > fs_->capacity_bytes) {
      reason = ENOSPC;
    }
    if (reason != 0) return failed(reason, "allocate", name_);
    if (size < bytes) inode_->now.resize(bytes);
    return {};
  }

  Result<void> truncate(std::uint64_t bytes) override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->enter(SimCall::truncate, name_)) {
      return failed(reason, "truncate", name_);
    }
    inode_->now.resize(bytes);
    return {};
  }

  Result<std::uint64_t> size() const override {
    std::scoped_lock lock(fs_->mutex_);
    return inode_->now.size();
  }

 private:
  const std::shared_ptr<SimFs> fs_;
  const std::shared_ptr<SimFs::Inode> inode_;
  const std::string name_;
};

namespace {

// Of the names of a directory's files: "/sim" is "", "/sim/a" is "a/", "/b" is "b/".
std::string prefix_of(const std::filesystem::path& path) {
  std::string text = path.lexically_normal().string();
  if (text.starts_with("/sim/") || text == "/sim") text.erase(0, 4);
  if (text.starts_with('/')) text.erase(0, 1);
  if (!text.empty() && text.back() != '/') text += '/';
  return text;
}

class SimLock final : public DirectoryLock {
 public:
  SimLock(std::shared_ptr<SimFs::Entries> entries, std::string name)
      : entries_(std::move(entries)), name_(std::move(name)) {}
  ~SimLock() override { entries_->locked.erase(name_); }

 private:
  const std::shared_ptr<SimFs::Entries> entries_;
  const std::string name_;
};

}  // namespace

class SimDirectory final : public Directory {
 public:
  // `prefix` is that of its files' names: "" or "backups/".
  SimDirectory(std::shared_ptr<SimFs> fs, std::string path, std::string prefix)
      : fs_(std::move(fs)), path_(std::move(path)), prefix_(std::move(prefix)) {}

  const std::string& path() const override { return path_; }

  Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode) override {
    std::scoped_lock lock(fs_->mutex_);
    const std::string entry = prefix_ + std::string(name);
    auto& files = fs_->entries_->now;
    const auto found = files.find(entry);
    if (mode == OpenMode::existing || mode == OpenMode::read_only) {
      if (found == files.end()) return fail(Code::not_found, entry + " does not exist");
      return std::make_unique<SimFile>(fs_, found->second, entry);
    }
    if (const int reason = fs_->enter(SimCall::open, entry)) return failed(reason, "create", entry);
    if (found != files.end()) {
      if (mode == OpenMode::create_new) return failed(EEXIST, "create", entry);
      found->second->now.clear();
      return std::make_unique<SimFile>(fs_, found->second, entry);
    }
    files[entry] = std::make_shared<SimFs::Inode>();
    return std::make_unique<SimFile>(fs_, files[entry], entry);
  }

  Result<std::vector<std::string>> list() override {
    std::scoped_lock lock(fs_->mutex_);
    std::vector<std::string> names;
    for (const auto& [name, inode] : fs_->entries_->now) {
      if (is_mine(name)) names.push_back(name.substr(prefix_.size()));
    }
    for (const std::string& directory : fs_->directories_) {
      const std::string name = directory.substr(0, directory.size() - 1);
      if (is_mine(name)) names.push_back(name.substr(prefix_.size()));
    }
    return names;
  }

  Result<void> rename(std::string_view from, std::string_view to) override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->enter(SimCall::rename, std::string(to))) {
      return failed(reason, "rename to", std::string(to));
    }
    auto& files = fs_->entries_->now;
    const auto found = files.find(prefix_ + std::string(from));
    if (found == files.end()) return failed(ENOENT, "rename", std::string(from));
    const auto inode = found->second;
    files.erase(found);
    files[prefix_ + std::string(to)] = inode;
    return {};
  }

  Result<void> remove(std::string_view name) override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->enter(SimCall::remove, std::string(name))) {
      return failed(reason, "remove", std::string(name));
    }
    if (fs_->entries_->now.erase(prefix_ + std::string(name)) == 0) {
      return failed(ENOENT, "remove", std::string(name));
    }
    return {};
  }

  Result<void> sync() override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->enter(SimCall::sync_directory, path_)) {
      return failed(reason, "sync", path_);
    }
    SimFs::Entries& entries = *fs_->entries_;
    std::erase_if(entries.durable, [this](const auto& entry) { return is_mine(entry.first); });
    for (const auto& [name, inode] : entries.now) {
      if (is_mine(name)) entries.durable[name] = inode;
    }
    return {};
  }

  Result<std::unique_ptr<DirectoryLock>> lock(std::string_view name) override {
    std::scoped_lock held(fs_->mutex_);
    if (!fs_->entries_->locked.insert(prefix_ + std::string(name)).second) {
      return fail(Code::busy, path_ + " is in use by another process");
    }
    return std::make_unique<SimLock>(fs_->entries_, prefix_ + std::string(name));
  }

  Result<void> link(std::string_view name, Directory& target, std::string_view as) override {
    std::scoped_lock lock(fs_->mutex_);
    auto& other = dynamic_cast<SimDirectory&>(target);
    const std::string to = other.prefix_ + std::string(as);
    if (const int reason = fs_->enter(SimCall::link, to)) return failed(reason, "link to", to);
    auto& files = fs_->entries_->now;
    const auto found = files.find(prefix_ + std::string(name));
    if (found == files.end()) return failed(ENOENT, "link to", to);
    if (files.contains(to)) return failed(EEXIST, "link to", to);
    files[to] = found->second;
    return {};
  }

 private:
  // An entry of this directory, and not of one below it.
  bool is_mine(const std::string& name) const {
    return name.starts_with(prefix_) && name.find('/', prefix_.size()) == std::string::npos;
  }

  const std::shared_ptr<SimFs> fs_;
  const std::string path_;
  const std::string prefix_;
};

Result<std::unique_ptr<Directory>> SimFs::open_directory(const std::filesystem::path& path) {
  const std::string prefix = prefix_of(path);
  std::scoped_lock lock(mutex_);
  if (!prefix.empty() && !directories_.contains(prefix)) {
    return fail(Code::not_found, "no directory " + path.string());
  }
  return std::make_unique<SimDirectory>(shared_from_this(), path.string(), prefix);
}

Result<void> SimFs::create_directory(const std::filesystem::path& path) {
  const std::string prefix = prefix_of(path);
  std::scoped_lock lock(mutex_);
  if (prefix.empty() || directories_.contains(prefix)) return {};
  if (const int reason = enter(SimCall::create_directory, prefix)) {
    return failed(reason, "create directory", path.string());
  }
  directories_.insert(prefix);
  return {};
}

int SimFs::enter(SimCall call, const std::string& name) {
  ++calls_;
  if (powered_off()) return EIO;
  return hook ? hook(call, name, calls_) : 0;
}

std::uint64_t SimFs::used_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, inode] : entries_->now) bytes += inode->now.size();
  return bytes;
}

void SimFs::power_cut(Keep keep, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::map<std::string, std::shared_ptr<Inode>> names;
  std::set<std::string> all;
  for (const auto& [name, inode] : entries_->now) all.insert(name);
  for (const auto& [name, inode] : entries_->durable) all.insert(name);
  for (const std::string& name : all) {
    const auto now = entries_->now.find(name);
    const auto durable = entries_->durable.find(name);
    const bool newer = keep == Keep::everything || (keep == Keep::some && (random() & 1) != 0);
    const auto& [from, end] =
        newer ? std::pair(now, entries_->now.end()) : std::pair(durable, entries_->durable.end());
    if (from != end) names[name] = from->second;
  }
  entries_ = std::make_shared<Entries>();
  std::map<Inode*, std::shared_ptr<Inode>> survivors;
  for (const auto& [name, inode] : names) {
    auto& after = survivors[inode.get()];
    if (after == nullptr) {
      after = std::make_shared<Inode>();
      after->now = keep == Keep::everything ? inode->now
                   : keep == Keep::nothing  ? inode->durable
                                            : survivor(*inode, random);
      after->durable = after->now;
    }
    entries_->now[name] = after;
  }
  entries_->durable = entries_->now;
  calls_ = 0;
  power_off_at = 0;
  hook = nullptr;
}

std::shared_ptr<SimFs> SimFs::fork() const {
  auto copy = std::make_shared<SimFs>();
  std::map<Inode*, std::shared_ptr<Inode>> copies;
  const auto copy_of = [&copies](const std::shared_ptr<Inode>& inode) {
    auto& entry = copies[inode.get()];
    if (entry == nullptr) entry = std::make_shared<Inode>(*inode);
    return entry;
  };
  for (const auto& [name, inode] : entries_->now) copy->entries_->now[name] = copy_of(inode);
  for (const auto& [name, inode] : entries_->durable)
    copy->entries_->durable[name] = copy_of(inode);
  copy->capacity_bytes = capacity_bytes;
  copy->directories_ = directories_;
  return copy;
}

}  // namespace kvs::test

#include "tests/support/sim_fs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <random>
#include <string_view>

#include "storage/error.h"

namespace kvs::test {
namespace {

// How the sectors that a failed sync has lost are counted.
constexpr std::size_t page_bytes = 32;
// Beyond these only the newest and the last synced contents are told apart.
constexpr std::size_t between_bytes_max = std::size_t{16} << 10;
constexpr std::size_t between_max = 16;

std::unexpected<Error> failed(int reason, std::string_view what, const std::string& name) {
  return std::unexpected(io_error(reason, what, name));
}

// Called before each change of a file's contents.
void remember(SimFs::Inode& inode) {
  if (inode.now.size() > between_bytes_max || inode.between.size() >= between_max) return;
  inode.between.push_back(inode.now);
}

// A range that was written is nothing that a failed sync has lost any more.
void written(SimFs::Inode& inode, std::size_t from_bytes, std::size_t to_bytes) {
  if (inode.lost.empty()) return;
  for (std::size_t page = from_bytes / page_bytes; page * page_bytes < to_bytes; ++page) {
    inode.lost.erase(page);
  }
}

void sync_contents(SimFs::Inode& inode) {
  std::string synced = inode.now;
  for (const std::size_t page : inode.lost) {
    const std::size_t at = page * page_bytes;
    for (std::size_t i = at; i < std::min(at + page_bytes, synced.size()); ++i) {
      synced[i] = i < inode.durable.size() ? inode.durable[i] : '\0';
    }
  }
  inode.durable = std::move(synced);
  inode.between.clear();
}

void fail_sync(SimFs::Inode& inode) {
  for (std::size_t page = 0; page * page_bytes < inode.now.size(); ++page) {
    const std::size_t at = page * page_bytes;
    const std::string_view now = std::string_view(inode.now).substr(at, page_bytes);
    if (at >= inode.durable.size() ||
        now != std::string_view(inode.durable).substr(at, page_bytes)) {
      inode.lost.insert(page);
    }
  }
}

// The ways that something may have been: as of the last sync, in between, now. The first and the
// last keep their places; what is equal counts once otherwise.
template <class T>
void to_options(std::vector<T>& ways) {
  const T oldest = ways.front();
  const T newest = ways.back();
  std::vector<T> options{oldest};
  for (const T& way : ways) {
    if (way == newest || std::find(options.begin(), options.end(), way) != options.end()) continue;
    options.push_back(way);
  }
  if (newest != oldest || options.size() > 1) options.push_back(newest);
  ways = std::move(options);
}

// One of the states a file may be in that was not synced since `inode.durable`.
std::string survivor(const SimFs::Inode& inode, std::size_t sector_bytes,
                     const SimFs::Choose& choose) {
  std::vector<const std::string*> contents{&inode.durable};
  for (const std::string& older : inode.between) contents.push_back(&older);
  contents.push_back(&inode.now);

  std::vector<std::size_t> sizes;
  for (const std::string* each : contents) sizes.push_back(each->size());
  to_options(sizes);
  std::string bytes(sizes[choose(SimFs::Item::size, sizes.size())], '\0');

  std::vector<std::string_view> options;
  for (std::size_t at = 0; at < bytes.size(); at += sector_bytes) {
    const std::size_t count = std::min(sector_bytes, bytes.size() - at);
    options.clear();
    for (const std::string* each : contents) {
      const std::string_view sector =
          at < each->size() ? std::string_view(*each).substr(at, count) : std::string_view();
      options.push_back(sector);
    }
    to_options(options);
    const std::size_t chosen =
        options.size() == 1 ? 0 : choose(SimFs::Item::sector, options.size());
    std::copy(options[chosen].begin(), options[chosen].end(),
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
    remember(*inode_);
    written(*inode_, offset_bytes, offset_bytes + bytes.size());
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
      fail_sync(*inode_);
      return failed(reason, "sync", name_);
    }
    sync_contents(*inode_);
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
    if (size < bytes) {
      remember(*inode_);
      inode_->now.resize(bytes);
    }
    return {};
  }

  Result<void> truncate(std::uint64_t bytes) override {
    std::scoped_lock lock(fs_->mutex_);
    if (const int reason = fs_->enter(SimCall::truncate, name_)) {
      return failed(reason, "truncate", name_);
    }
    remember(*inode_);
    written(*inode_, bytes, inode_->now.size());
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
      remember(*found->second);
      written(*found->second, 0, found->second->now.size());
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

  Result<std::uint64_t> free_bytes() const override {
    std::scoped_lock lock(fs_->mutex_);
    return fs_->capacity_bytes - std::min(fs_->capacity_bytes, fs_->used_bytes());
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
  // Mostly all or nothing of a file now and then, so that the edges are met too.
  std::uint64_t bias = 0;
  power_cut([&](Item item, std::size_t options) {
    if (keep == Keep::nothing) return std::size_t{0};
    if (keep == Keep::everything) return options - 1;
    if (item == Item::size) bias = random() % 4;
    if (item == Item::sector && bias == 0) return options - 1;
    if (item == Item::sector && bias == 1) return std::size_t{0};
    return static_cast<std::size_t>(random() % options);
  });
}

void SimFs::power_cut(const Choose& choose) {
  std::map<std::string, std::shared_ptr<Inode>> names;
  std::set<std::string> all;
  for (const auto& [name, inode] : entries_->now) all.insert(name);
  for (const auto& [name, inode] : entries_->durable) all.insert(name);
  for (const std::string& name : all) {
    const auto now = entries_->now.find(name);
    const auto durable = entries_->durable.find(name);
    const auto newer = now == entries_->now.end() ? nullptr : now->second;
    const auto older = durable == entries_->durable.end() ? nullptr : durable->second;
    const auto& kept = newer == older || choose(Item::name, 2) != 0 ? newer : older;
    if (kept != nullptr) names[name] = kept;
  }
  entries_ = std::make_shared<Entries>();
  std::map<Inode*, std::shared_ptr<Inode>> survivors;
  for (const auto& [name, inode] : names) {
    auto& after = survivors[inode.get()];
    if (after == nullptr) {
      after = std::make_shared<Inode>();
      after->now = survivor(*inode, sector_bytes, choose);
      after->durable = after->now;
    }
    entries_->now[name] = after;
  }
  entries_->durable = entries_->now;
  calls_ = 0;
  power_off_at = 0;
  hook = nullptr;
}

std::uint64_t SimFs::digest() const {
  const std::hash<std::string_view> hash;
  std::uint64_t digest = 0;
  for (const auto& [name, inode] : entries_->now) {
    digest = digest * 0x9e3779b97f4a7c15 + hash(name);
    digest = digest * 0x9e3779b97f4a7c15 + hash(inode->now);
  }
  return digest;
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
  copy->sector_bytes = sector_bytes;
  copy->directories_ = directories_;
  return copy;
}

}  // namespace kvs::test

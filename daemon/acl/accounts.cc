#include "daemon/acl/accounts.h"

#include <array>
#include <cassert>
#include <utility>

#include "daemon/acl/rules.h"
#include "daemon/commands/arguments.h"

namespace kvs::daemon::acl {

namespace {

constexpr std::string_view default_name = "default";

}  // namespace

Account::Account(User user) : name_(user.name) {
  replace(std::move(user));
}

std::shared_ptr<const User> Account::user() const {
  std::scoped_lock lock(mutex_);
  return user_;
}

void Account::replace(User user) {
  const bool unrestricted = user.unrestricted();
  std::scoped_lock lock(mutex_);
  user_ = std::make_shared<const User>(std::move(user));
  version_.fetch_add(1, std::memory_order_release);
  unrestricted_.store(unrestricted, std::memory_order_release);
}

void Account::remove() {
  replace(new_user(name_));
  removed_.store(true, std::memory_order_release);
}

User default_user(const CommandTable& commands, std::string_view password) {
  User user = all_powerful_user(default_name, commands);
  if (!password.empty()) {
    user.no_password = false;
    user.password_hashes = {password_hash(password)};
  }
  return user;
}

Accounts::Accounts(const CommandTable& commands, std::string_view default_password)
    : commands_(commands),
      default_(std::make_shared<Account>(default_user(commands, default_password))) {
  accounts_.emplace(default_name, default_);
  default_open_ = default_password.empty();
}

void Accounts::set_default_password(std::string_view password) {
  std::scoped_lock lock(mutex_);
  User user = *default_->user();
  user.no_password = password.empty();
  user.password_hashes.clear();
  if (!password.empty()) user.password_hashes.push_back(password_hash(password));
  put(std::move(user));
}

AccountPtr Accounts::find(std::string_view name) const {
  std::scoped_lock lock(mutex_);
  const auto at = accounts_.find(name);
  return at == accounts_.end() ? nullptr : at->second;
}

std::vector<AccountPtr> Accounts::list() const {
  std::scoped_lock lock(mutex_);
  std::vector<AccountPtr> result;
  for (const auto& [name, account] : accounts_) result.push_back(account);
  return result;
}

AccountPtr Accounts::log_in(std::string_view name, std::string_view password) const {
  const std::string hash = password_hash(password);
  const AccountPtr account = find(name);
  // Of nobody, one hash is compared all the same.
  User nobody;
  nobody.password_hashes.emplace_back(hash.size(), '0');
  const auto user = account != nullptr ? account->user() : nullptr;
  const bool known = has_password(user != nullptr ? *user : nobody, hash);
  if (user == nullptr || !user->enabled || !(known || user->no_password)) return nullptr;
  return account;
}

Result<AccountPtr> Accounts::change(std::string_view name,
                                    std::span<const std::string_view> rules) {
  std::scoped_lock lock(mutex_);
  const auto at = accounts_.find(name);
  User user = at != accounts_.end() ? *at->second->user() : new_user(name);
  if (const auto mistake = apply_rules(user, rules, commands_)) {
    if (mistake->rule.empty()) return fail(Code::invalid, mistake->text);
    return fail(Code::invalid, "Error in ACL SETUSER modifier '" + as_printed(mistake->rule) +
                                   "': " + mistake->text);
  }
  put(std::move(user));
  return accounts_.find(name)->second;
}

bool Accounts::remove(std::string_view name) {
  assert(name != default_name);
  std::scoped_lock lock(mutex_);
  const auto at = accounts_.find(name);
  if (at == accounts_.end()) return false;
  at->second->remove();
  accounts_.erase(at);
  return true;
}

std::vector<std::string> Accounts::replace_all(std::vector<User> users,
                                               std::string_view default_password) {
  std::scoped_lock lock(mutex_);
  std::map<std::string, AccountPtr, std::less<>> old = std::exchange(accounts_, {});
  bool has_default = false;
  for (User& user : users) {
    has_default = has_default || user.name == default_name;
    const auto known = old.find(user.name);
    if (known != old.end()) accounts_.insert(old.extract(known));
    put(std::move(user));
  }
  if (!has_default) {
    accounts_.insert(old.extract(old.find(default_name)));
    put(default_user(commands_, default_password));
  }
  std::vector<std::string> gone;
  for (const auto& [name, account] : old) {
    account->remove();
    gone.push_back(name);
  }
  return gone;
}

void Accounts::put(User user) {
  if (user.name == default_name) {
    default_open_.store(user.enabled && user.no_password, std::memory_order_release);
  }
  const auto at = accounts_.find(user.name);
  if (at != accounts_.end()) return at->second->replace(std::move(user));
  std::string name = user.name;
  accounts_.emplace(std::move(name), std::make_shared<Account>(std::move(user)));
}

}  // namespace kvs::daemon::acl

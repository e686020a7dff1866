// accounts.h - all users by name, and what connections hold of them.
//
// A connection holds the Account of the user that it has logged in as, and with it one flag: is
// there anything to check at all? For users with all rights (so it is without ACLs) that is the
// whole cost of a command. Otherwise the connection keeps the User it saw last and asks for a newer
// one when the version has moved, so that a change is in force from its next command on.
// Thread: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/acl/log.h"
#include "daemon/acl/user.h"
#include "protocol/async/result.h"

namespace kvs::daemon::acl {

class Account {
 public:
  explicit Account(User user);

  const std::string& name() const noexcept { return name_; }
  bool unrestricted() const noexcept { return unrestricted_.load(std::memory_order_acquire); }
  std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
  // The user was deleted: nothing is allowed any more and the connection is to be closed.
  bool removed() const noexcept { return removed_.load(std::memory_order_acquire); }

  std::shared_ptr<const User> user() const;

 private:
  friend class Accounts;
  void replace(User user);
  void remove();

  const std::string name_;
  std::atomic<bool> unrestricted_{false};
  std::atomic<bool> removed_{false};
  std::atomic<std::uint64_t> version_{1};
  mutable std::mutex mutex_;
  std::shared_ptr<const User> user_;  // guarded by mutex_; never null
};

using AccountPtr = std::shared_ptr<Account>;

class Accounts {
 public:
  // One user, "default", with all rights, and with that password unless it is empty. `commands`
  // outlives this.
  Accounts(const CommandTable& commands, std::string_view default_password);

  const AccountPtr& default_account() const noexcept { return default_; }
  // Is who has not said AUTH the default user?
  bool default_is_open() const noexcept { return default_open_.load(std::memory_order_acquire); }
  // What CONFIG SET requirepass does: that password and no other; empty: none is asked for.
  void set_default_password(std::string_view password);

  // Null when there is none of that name.
  AccountPtr find(std::string_view name) const;
  std::vector<AccountPtr> list() const;  // by name

  // The account whose password that is; null: there is none, or it is off. How long it takes does
  // not tell which.
  AccountPtr log_in(std::string_view name, std::string_view password) const;

  // Applies `rules` to the user of that name, who need not exist yet: all of them, or none. The
  // error is what ACL SETUSER answers, without "ERR ".
  Result<AccountPtr> change(std::string_view name, std::span<const std::string_view> rules);

  // False when there is none of that name. The default user cannot be removed.
  bool remove(std::string_view name);

  // Puts `users` in the place of all that there are; the default user stays as a new server has
  // it, with `default_password`, unless it is among them. Returns the names of those who are gone.
  std::vector<std::string> replace_all(std::vector<User> users, std::string_view default_password);

  const CommandTable& commands() const noexcept { return commands_; }

  AccessLog log;  // ACL LOG

 private:
  void put(User user);  // with mutex_ held

  const CommandTable& commands_;
  const AccountPtr default_;
  std::atomic<bool> default_open_{false};
  mutable std::mutex mutex_;
  std::map<std::string, AccountPtr, std::less<>> accounts_;  // guarded by mutex_
};

// The default user of a new server.
User default_user(const CommandTable& commands, std::string_view password);

}  // namespace kvs::daemon::acl

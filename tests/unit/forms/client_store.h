// client_store.h - the client library as a store of the suite: any form, on one connection or on a
// pool of them, against a kvs-server of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/client/client.h"
#include "protocol/client/pool.h"
#include "protocol/client/run.h"
#include "tests/support/server_process.h"
#include "tests/unit/forms/forms.h"
#include "tests/unit/forms/store_suite.h"

namespace kvs::test {

struct LoopWait {
  uv::Loop* loop;
  template <Operation O>
  auto operator()(O operation) const {
    return client::run(*loop, std::move(operation));
  }
};

// The client's commands for callers whose words end with the call: the suite's do.
class OwningCalls {
  // An operation of the same class that has its request already.
  template <class Command>
  auto op(const Command& command) {
    using Owned = client::commands::Encoded<Command>;
    return client::CommandOperation<Owned>(client_.session(), Owned(command));
  }

 public:
  explicit OwningCalls(client::Client& client) : client_(client) {}

  auto get(const std::string& key) { return client_.get(key); }
  auto set(const std::string& key, const std::string& value) { return client_.set(key, value); }
  auto remove(const std::string& key) { return client_.remove(key); }
  auto get_future(const std::string& key) { return client_.get_future(key); }
  auto set_future(const std::string& key, const std::string& value) {
    return client_.set_future(key, value);
  }
  auto remove_future(const std::string& key) { return client_.remove_future(key); }
  auto get_op(const std::string& key) { return op(client::commands::Get{key}); }
  auto set_op(const std::string& key, const std::string& value) {
    return op(client::commands::Set{key, value, {}});
  }
  auto remove_op(const std::string& key) { return op(client::commands::Remove{key}); }

 private:
  client::Client& client_;
};

template <class Form>
class ClientStore : FormStore<Form, LoopWait> {
 public:
  // `connections` of a pool take the operations in turn.
  explicit ClientStore(std::size_t connections) : ClientStore(connections, new_loop()) {}
  ~ClientStore() { close(); }

  auto get(std::string key) { return this->get_by(next(), std::move(key)); }
  auto set(std::string key, std::string value) {
    return this->set_by(next(), std::move(key), std::move(value));
  }
  auto remove(std::string key) { return this->remove_by(next(), std::move(key)); }
  auto set_all(const std::vector<KeyValue>& pairs) {
    return this->all_of(pairs.size(), [&](std::size_t i) {
      return Form::set(next(), pairs[i].first, pairs[i].second);
    });
  }
  auto get_all(const std::vector<std::string>& keys) {
    return this->all_of(keys.size(), [&](std::size_t i) { return Form::get(next(), keys[i]); });
  }
  void reopen() {
    close();
    CHECK(server_.terminate() == 0);
    server_.restart();
    open();
  }
  // The server compacts when it likes to; engine_store.h measures it.
  std::optional<StoreSpace> compact() { return std::nullopt; }

 private:
  ClientStore(std::size_t connections, std::unique_ptr<uv::Loop> loop)
      : FormStore<Form, LoopWait>(LoopWait{loop.get()}),
        loop_(std::move(loop)),
        connections_(connections) {
    open();
  }
  static std::unique_ptr<uv::Loop> new_loop() { return std::make_unique<uv::Loop>(); }

  void open() {
    pool_.emplace(*loop_, client::SocketAddress{"127.0.0.1", server_.port()},
                  client::ConnectOptions{}, client::PoolOptions{.connections_max = connections_});
    for (std::size_t i = 0; i < connections_; ++i) {
      auto lease = client::run(*loop_, pool_->acquire());
      REQUIRE(lease);
      leases_.push_back(std::move(*lease));
    }
    for (client::ClientPool::Lease& lease : leases_) calls_.emplace_back(*lease);
  }
  void close() {
    calls_.clear();
    leases_.clear();
    pool_.reset();
  }
  OwningCalls& next() { return calls_[turn_++ % calls_.size()]; }

  ServerProcess server_;
  std::unique_ptr<uv::Loop> loop_;
  const std::size_t connections_;
  std::optional<client::ClientPool> pool_;
  std::vector<client::ClientPool::Lease> leases_;
  std::vector<OwningCalls> calls_;
  std::size_t turn_ = 0;
};

}  // namespace kvs::test

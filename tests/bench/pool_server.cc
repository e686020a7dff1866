// pool_server.cc - the smallest server on AsyncEngine: GET and SET, one job of a thread pool for
// each command. It shows what a choice of pool and engine costs a server (contract.md 5, figure
// 15), where kvs-server has one pool, libuv's, and sends it batches.
//
//   pool-server PORT ENGINE POOL THREADS     data in the current directory, until SIGTERM
//   POOL: shared_queue, thread_per_job (which has no number of threads), libuv
//
// One loop reads, parses and writes. Commands of a connection are answered in order, each from a
// coroutine that goes to the pool and back to the loop. Other commands are answered +OK.
//
// Not here: limits, back-pressure, several loops, errors in good words. Only compare talks to it.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <coroutine>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <uv.h>

#include "protocol/async/gate.h"
#include "protocol/async/task.h"
#include "protocol/resp/reply_writer.h"
#include "protocol/resp/request_parser.h"
#include "protocol/uv/handle.h"
#include "protocol/uv/loop.h"
#include "storage/async_engine.h"
#include "storage/options.h"
#include "tests/support/pools.h"

namespace {

using kvs::AsyncEngine;
using kvs::Task;
using kvs::resp::RequestParser;
using kvs::uv::Loop;

constexpr std::size_t read_bytes = 64 * 1024;

class Server;

struct Connection {
  Server& server;
  kvs::uv::HandlePtr<uv_tcp_t> handle;
  RequestParser parser;
  std::string input;  // from the first byte of the request under way
  bool served = false;
  bool ended = false;
};

struct Reply {
  uv_write_t request{};
  std::string bytes;
};

// Goes on on the loop's thread.
struct OnLoop {
  Loop& loop;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) const {
    loop.post([waiter] { waiter.resume(); });
  }
  void await_resume() const noexcept {}
};

// Thread: the loop's, but for what the coroutines do on the pool.
class Server {
 public:
  Server(Loop& loop, AsyncEngine engine) : loop_(loop), engine_(std::move(engine)) {}

  int listen(int port) {
    sockaddr_in address{};
    uv_ip4_addr("127.0.0.1", port, &address);
    listener_ = kvs::uv::make_handle<uv_tcp_t>(
        [this](uv_tcp_t* handle) { uv_tcp_init(loop_.raw(), handle); });
    listener_->data = this;
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    if (const int code = uv_tcp_bind(listener_.get(), name, 0)) return code;
    return uv_listen(reinterpret_cast<uv_stream_t*>(listener_.get()), 511,
                     [](uv_stream_t* stream, int status) {
                       if (status == 0) static_cast<Server*>(stream->data)->accept();
                     });
  }

  // Nothing new is read; stops the loop when the last command has been answered.
  Task<void> close() {
    listener_.reset();
    for (const auto& connection : connections_) {
      uv_read_stop(reinterpret_cast<uv_stream_t*>(connection->handle.get()));
    }
    co_await gate_.closed();
    connections_.clear();
    loop_.stop();
  }

 private:
  void accept() {
    auto connection = std::make_unique<Connection>(*this);
    connection->handle = kvs::uv::make_handle<uv_tcp_t>(
        [this](uv_tcp_t* handle) { uv_tcp_init(loop_.raw(), handle); });
    auto* stream = reinterpret_cast<uv_stream_t*>(connection->handle.get());
    if (uv_accept(reinterpret_cast<uv_stream_t*>(listener_.get()), stream) != 0) return;
    uv_tcp_nodelay(connection->handle.get(), 1);
    connection->handle->data = connection.get();
    connections_.push_back(std::move(connection));
    uv_read_start(
        stream,
        [](uv_handle_t* /*handle*/, std::size_t /*suggested*/, uv_buf_t* buffer) {
          static char bytes[read_bytes];  // one loop, and each read is consumed before the next
          *buffer = uv_buf_init(bytes, sizeof bytes);
        },
        [](uv_stream_t* from, ssize_t bytes, const uv_buf_t* buffer) {
          auto& sender = *static_cast<Connection*>(from->data);
          sender.server.received(sender, {buffer->base, bytes > 0 ? std::size_t(bytes) : 0},
                                 bytes < 0);
        });
  }

  void received(Connection& connection, std::string_view bytes, bool end) {
    connection.ended = end;
    connection.input += bytes;
    if (connection.served) return;  // serve() sees both
    if (end) {
      forget(connection);
    } else {
      kvs::spawn(gate_, serve(connection));
    }
  }

  void forget(Connection& connection) {
    std::erase_if(connections_, [&](const auto& each) { return each.get() == &connection; });
  }

  // Answers the requests that there are, one by one.
  Task<void> serve(Connection& connection) {
    connection.served = true;
    std::string replies;
    for (;;) {
      const auto outcome = connection.parser.parse(connection.input);
      if (outcome.status == RequestParser::Status::error) connection.ended = true;
      if (outcome.status == RequestParser::Status::error ||
          outcome.status == RequestParser::Status::incomplete) {
        break;
      }
      if (outcome.status == RequestParser::Status::complete) {
        const auto args = connection.parser.args();
        std::vector<std::string> words(args.begin(), args.end());
        auto answering = answer(std::move(words), replies);
        co_await std::move(answering);
      }
      connection.input.erase(0, outcome.consumed);
    }
    if (!connection.ended && !replies.empty()) send(connection, std::move(replies));
    connection.served = false;
    if (connection.ended) forget(connection);
  }

  Task<void> answer(std::vector<std::string> words, std::string& replies) {
    kvs::resp::ReplyWriter writer(replies, kvs::resp::Version::resp2);
    const std::string name = words[0];
    OnLoop back{loop_};
    if (words.size() == 2 && (name == "GET" || name == "get")) {
      auto getting = engine_.get_op(words[1]);
      const auto value = co_await getting;
      co_await back;
      if (!value) {
        writer.error("ERR " + value.error().message());
      } else if (*value) {
        writer.bulk(**value);
      } else {
        writer.null();
      }
    } else if (words.size() == 3 && (name == "SET" || name == "set")) {
      auto setting = engine_.set_op(words[1], words[2]);
      const auto done = co_await setting;
      co_await back;
      if (done) {
        writer.ok();
      } else {
        writer.error("ERR " + done.error().message());
      }
    } else if (name == "DBSIZE") {
      writer.integer(static_cast<std::int64_t>(engine_.engine().database_stats(0).keys));
    } else {
      writer.simple(name == "PING" ? "PONG" : "OK");
    }
  }

  static void send(Connection& connection, std::string replies) {
    auto* stream = reinterpret_cast<uv_stream_t*>(connection.handle.get());
    auto reply = std::make_unique<Reply>();
    reply->bytes = std::move(replies);
    reply->request.data = reply.get();
    uv_buf_t buffer = uv_buf_init(reply->bytes.data(), static_cast<unsigned>(reply->bytes.size()));
    const auto done = [](uv_write_t* request, int /*status*/) {
      const std::unique_ptr<Reply> freed(static_cast<Reply*>(request->data));
    };
    if (uv_write(&reply->request, stream, &buffer, 1, done) == 0)
      static_cast<void>(reply.release());
  }

  Loop& loop_;
  const AsyncEngine engine_;
  kvs::Gate gate_;
  kvs::uv::HandlePtr<uv_tcp_t> listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// What kvs-server's maintenance does: a sync a second, and slices of background work.
void maintain(kvs::Engine& engine, const std::atomic<bool>& stop) {
  auto synced = std::chrono::steady_clock::now();
  while (!stop) {
    const bool more = engine.maintain(std::chrono::milliseconds(1));
    if (std::chrono::steady_clock::now() - synced > std::chrono::seconds(1)) {
      if (!engine.sync()) std::abort();
      synced = std::chrono::steady_clock::now();
    }
    if (!more) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

int fail(std::string_view what) {
  std::fprintf(stderr, "pool-server: %.*s\n", static_cast<int>(what.size()), what.data());
  return 1;
}

bool read_number(const char* text, unsigned& number) {
  const char* end = text + std::strlen(text);
  const auto [at, problem] = std::from_chars(text, end, number);
  return at == end && problem == std::errc();
}

int serve(unsigned port, std::shared_ptr<kvs::Engine> engine, const kvs::test::PoolKind& kind,
          unsigned threads) {
  auto pool = kind.open(threads, {});
  if (!pool) return fail(pool.error().message());
  std::atomic<bool> stop = false;
  std::thread maintenance([&] { maintain(*engine, stop); });
  int code = 0;
  {
    Loop loop;
    // Every read takes the way through the pool: the values are all in memory, and the pool is what
    // is measured.
    Server server(loop, AsyncEngine(engine, std::move(*pool), kvs::Reads::pool_only));
    kvs::Gate closing;
    const auto signal = kvs::uv::make_handle<uv_signal_t>(
        [&](uv_signal_t* handle) { uv_signal_init(loop.raw(), handle); });
    std::function<void()> on_signal = [&] { kvs::spawn(closing, server.close()); };
    signal->data = &on_signal;
    uv_signal_start(
        signal.get(),
        [](uv_signal_t* handle, int) { (*static_cast<std::function<void()>*>(handle->data))(); },
        SIGTERM);
    if (const int problem = server.listen(static_cast<int>(port))) {
      code = fail(uv_strerror(problem));
    } else {
      loop.run();
    }
  }
  stop = true;
  maintenance.join();
  if (!engine->close()) return fail("the engine cannot be closed");
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned port = 0;
  unsigned threads = 0;
  const auto* kind = argc == 5
                         ? std::find_if(kvs::test::pool_kinds.begin(), kvs::test::pool_kinds.end(),
                                        [&](const auto& each) { return each.name == argv[3]; })
                         : kvs::test::pool_kinds.end();
  if (kind == kvs::test::pool_kinds.end() || !read_number(argv[1], port) ||
      !read_number(argv[4], threads)) {
    std::fputs("usage: pool-server PORT ENGINE shared_queue|thread_per_job|libuv THREADS\n",
               stderr);
    return 2;
  }
  // Before libuv's pool is first used, whose size is fixed then.
  setenv("UV_THREADPOOL_SIZE", argv[4], 1);
  kvs::EngineOptions options;
  options.directory = ".";
  auto engine = kvs::open_engine(argv[2], std::move(options));
  if (!engine) return fail(engine.error().message());
  return serve(port, std::move(*engine), *kind, threads);
}

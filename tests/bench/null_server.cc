// null_server.cc - the floor of every measurement: libuv and our parser, answering +OK to
// everything.
//
// One loop reads, parses and answers what one read brought in one write, as the worker loops do; it
// knows no commands and stores nothing. What a real server spends above it is its own work; what it
// spends itself no server on this loop can save.
//
//   null-server PORT     listens on 127.0.0.1 until SIGTERM
//
// Not here: limits, back-pressure, several loops. Only compare talks to it.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include <uv.h>

#include "protocol/resp/reply_writer.h"
#include "protocol/resp/request_parser.h"

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

// Owns itself: freed when its handle has closed.
struct Connection {
  uv_tcp_t handle{};
  kvs::resp::RequestParser parser;
  std::string input;  // bytes from the first one of the request under way
};

struct Reply {
  uv_write_t request{};
  std::string bytes;
};

void close_connection(Connection* connection) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&connection->handle);
  if (!uv_is_closing(handle)) {
    uv_close(handle, [](uv_handle_t* closed) { delete static_cast<Connection*>(closed->data); });
  }
}

void on_alloc(uv_handle_t* /*handle*/, std::size_t /*suggested*/, uv_buf_t* buffer) {
  static char bytes[kReadBytes];  // one loop, and each read is consumed before the next
  *buffer = uv_buf_init(bytes, sizeof bytes);
}

// Answers every whole request of `input`; false when it is not RESP.
bool answer(Connection& connection, std::string& replies) {
  kvs::resp::ReplyWriter writer(replies, kvs::resp::Version::resp2);
  std::string_view rest = connection.input;
  for (;;) {
    const auto outcome = connection.parser.parse(rest);
    if (outcome.status == kvs::resp::RequestParser::Status::error) {
      return false;
    }
    if (outcome.status == kvs::resp::RequestParser::Status::incomplete) {
      break;
    }
    if (outcome.status == kvs::resp::RequestParser::Status::complete) {
      writer.ok();
    }
    rest.remove_prefix(outcome.consumed);
  }
  connection.input.erase(0, connection.input.size() - rest.size());
  return true;
}

void send(Connection& connection, std::string replies) {
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection.handle);
  uv_buf_t buffer = uv_buf_init(replies.data(), static_cast<unsigned>(replies.size()));
  const int sent = uv_try_write(stream, &buffer, 1);
  if (sent == static_cast<int>(replies.size())) {
    return;
  }
  auto reply = std::make_unique<Reply>();
  reply->bytes = replies.substr(sent > 0 ? static_cast<std::size_t>(sent) : 0);
  reply->request.data = reply.get();
  buffer = uv_buf_init(reply->bytes.data(), static_cast<unsigned>(reply->bytes.size()));
  const auto done = [](uv_write_t* request, int /*status*/) {
    delete static_cast<Reply*>(request->data);
  };
  if (uv_write(&reply->request, stream, &buffer, 1, done) == 0) {
    reply.release();  // `done` frees it
  } else {
    close_connection(&connection);
  }
}

void on_read(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer) {
  auto* connection = static_cast<Connection*>(stream->data);
  if (bytes < 0) {
    close_connection(connection);
    return;
  }
  connection->input.append(buffer->base, static_cast<std::size_t>(bytes));
  std::string replies;
  if (!answer(*connection, replies)) {
    close_connection(connection);
  } else if (!replies.empty()) {
    send(*connection, std::move(replies));
  }
}

void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) {
    return;
  }
  auto* connection = new Connection;
  uv_tcp_init(listener->loop, &connection->handle);
  connection->handle.data = connection;
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection->handle);
  if (uv_accept(listener, stream) != 0) {
    close_connection(connection);
    return;
  }
  uv_tcp_nodelay(&connection->handle, 1);
  uv_read_start(stream, on_alloc, on_read);
}

int fail(const char* what, int code) {
  std::fprintf(stderr, "null-server: %s: %s\n", what, uv_strerror(code));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  int port = 0;
  if (argc != 2 ||
      std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), port).ec != std::errc{}) {
    std::fputs("usage: null-server PORT\n", stderr);
    return 2;
  }
  uv_loop_t* loop = uv_default_loop();
  sockaddr_in address{};
  uv_ip4_addr("127.0.0.1", port, &address);
  uv_tcp_t listener{};
  uv_tcp_init(loop, &listener);
  if (const int code = uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0)) {
    return fail("bind", code);
  }
  if (const int code = uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 511, on_connection)) {
    return fail("listen", code);
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}

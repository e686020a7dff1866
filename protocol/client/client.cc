#include "protocol/client/client.h"

#include <array>
#include <cassert>
#include <utility>

#include "protocol/client/request.h"

namespace kvs::client {
namespace {

using SharedConnection = std::shared_ptr<Connection>;

Error unexpected_reply() {
  return Error(Code::protocol,
               "the server answered with another kind of reply than the command has");
}

// The coroutines below own all they need: a Client may move or end while they wait.

Task<Result<Reply>> run_command(SharedConnection connection, std::string request) {
  Connection::Operation operation(std::move(connection), std::move(request));
  co_return co_await operation;
}

Task<Result<Reply>> refuse_command() {
  co_return fail(Code::invalid, "a command needs at least one word");
}

Task<Result<std::optional<std::string>>> run_get(SharedConnection connection, std::string request) {
  Connection::Operation operation(std::move(connection), std::move(request));
  Result<Reply> reply = co_await operation;
  if (!reply) co_return std::unexpected(std::move(reply).error());
  if (reply->kind == Reply::Kind::nil) co_return std::nullopt;
  if (reply->kind != Reply::Kind::string) co_return std::unexpected(unexpected_reply());
  co_return std::optional<std::string>(std::move(reply->text));
}

Task<Result<bool>> run_set(SharedConnection connection, std::string request) {
  Connection::Operation operation(std::move(connection), std::move(request));
  Result<Reply> reply = co_await operation;
  if (!reply) co_return std::unexpected(std::move(reply).error());
  if (reply->kind == Reply::Kind::nil) co_return false;
  if (reply->kind != Reply::Kind::status) co_return std::unexpected(unexpected_reply());
  co_return true;
}

Task<Result<void>> run_remove(SharedConnection connection, std::string request) {
  Connection::Operation operation(std::move(connection), std::move(request));
  Result<Reply> reply = co_await operation;
  if (!reply) co_return std::unexpected(std::move(reply).error());
  if (reply->kind != Reply::Kind::integer) co_return std::unexpected(unexpected_reply());
  if (reply->integer == 0) co_return fail(Code::not_found, "Key not found");
  co_return Result<void>();
}

}  // namespace

Task<Result<Client>> Client::connect(uv::Loop& loop, SocketAddress address,
                                     ConnectOptions options) {
  // Closes the connection if this task is dropped while it waits.
  Client client(Connection::open(loop, address, options));
  Connection::Opened opened(*client.connection_);
  Result<void> outcome = co_await opened;
  if (!outcome) co_return std::unexpected(std::move(outcome).error());
  co_return std::move(client);
}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(connection_, other.connection_);
  return *this;
}

Client::~Client() {
  if (connection_) connection_->close();
}

Task<Result<std::optional<std::string>>> Client::get(std::string_view key) {
  assert(connection_);
  return run_get(connection_, encode_request(std::array<std::string_view, 2>{"GET", key}));
}

Task<Result<bool>> Client::set(std::string_view key, std::string_view value, SetOptions options) {
  assert(connection_);
  std::vector<std::string_view> words{"SET", key, value};
  std::string milliseconds;
  if (options.expire_after) {
    milliseconds = std::to_string(options.expire_after->count());
    words.push_back("PX");
    words.push_back(milliseconds);
  }
  if (options.when == SetOptions::When::absent) words.push_back("NX");
  if (options.when == SetOptions::When::present) words.push_back("XX");
  return run_set(connection_, encode_request(words));
}

Task<Result<void>> Client::remove(std::string_view key) {
  assert(connection_);
  return run_remove(connection_, encode_request(std::array<std::string_view, 2>{"DEL", key}));
}

Task<Result<Reply>> Client::command(std::vector<std::string> words) {
  assert(connection_);
  if (words.empty()) return refuse_command();
  const std::vector<std::string_view> views(words.begin(), words.end());
  return run_command(connection_, encode_request(views));
}

}  // namespace kvs::client

#include "protocol/client/transport.h"

#include <cassert>
#include <netinet/in.h>
#include <utility>

#include "protocol/client/limits.h"

namespace kvs::client {

// Requests outlive the Transport when it is destroyed with one under way; `owner` is null then.
struct Transport::ConnectRequest {
  uv_connect_t request{};
  Transport* owner = nullptr;
};

struct Transport::WriteRequest {
  uv_write_t request{};
  Transport* owner = nullptr;
  std::string bytes;
};

namespace {

uv_stream_t* stream(uv_tcp_t* socket) {
  return reinterpret_cast<uv_stream_t*>(socket);
}

}  // namespace

Transport::Transport(uv::Loop& loop, Events& events)
    : events_(events), input_(std::make_unique_for_overwrite<char[]>(limits::read_bytes)) {
  assert(loop.on_this_thread());
  socket_ = uv::make_handle<uv_tcp_t>([&](uv_tcp_t* tcp) { uv_tcp_init(loop.raw(), tcp); });
  socket_->data = this;
  before_poll_ = uv::make_handle<uv_prepare_t>(
      [&](uv_prepare_t* prepare) { uv_prepare_init(loop.raw(), prepare); });
  before_poll_->data = this;
}

Transport::~Transport() {
  if (connecting_) connecting_->owner = nullptr;
  if (writing_) writing_->owner = nullptr;
}

Result<void> Transport::connect(const SocketAddress& address) {
  assert(!connecting_);
  sockaddr_storage raw{};
  const bool known =
      uv_ip4_addr(address.host.c_str(), address.port, reinterpret_cast<sockaddr_in*>(&raw)) == 0 ||
      uv_ip6_addr(address.host.c_str(), address.port, reinterpret_cast<sockaddr_in6*>(&raw)) == 0;
  if (!known) return fail(Code::unreachable, "not an IP address");

  auto request = std::make_unique<ConnectRequest>();
  request->owner = this;
  request->request.data = request.get();
  const int refused = uv_tcp_connect(
      &request->request, socket_.get(), reinterpret_cast<const sockaddr*>(&raw),
      [](uv_connect_t* done, int status) {
        const std::unique_ptr<ConnectRequest> ours(static_cast<ConnectRequest*>(done->data));
        if (ours->owner) ours->owner->on_connected(status);
      });
  if (refused != 0) return fail(Code::unreachable, uv_strerror(refused));
  connecting_ = request.release();
  return {};
}

void Transport::on_connected(int status) {
  connecting_ = nullptr;
  if (status == 0) {
    uv_tcp_nodelay(socket_.get(), 1);  // batches are ours; a refusal costs only time
    status = uv_read_start(
        stream(socket_.get()),
        [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
          auto* const self = static_cast<Transport*>(handle->data);
          *buffer = uv_buf_init(self->input_.get(), limits::read_bytes);
        },
        [](uv_stream_t* from, ssize_t bytes, const uv_buf_t*) {
          static_cast<Transport*>(from->data)->on_read(bytes);
        });
  }
  if (status != 0) return events_.connected(fail(Code::unreachable, uv_strerror(status)));
  events_.connected({});
}

void Transport::on_read(std::int64_t bytes_or_error) {
  if (bytes_or_error == 0) return;  // libuv's EAGAIN
  if (bytes_or_error < 0) return end(static_cast<int>(bytes_or_error));
  events_.received({input_.get(), static_cast<std::size_t>(bytes_or_error)});
}

void Transport::write(std::string_view bytes) {
  output_.append(bytes);
  written_bytes_ += bytes.size();
  if (writing_ || ended_ || peer_gone_) return;  // goes with the next one
  uv_prepare_start(before_poll_.get(), [](uv_prepare_t* prepare) {
    uv_prepare_stop(prepare);
    static_cast<Transport*>(prepare->data)->flush();
  });
}

void Transport::flush() {
  if (output_.empty() || writing_ || ended_ || peer_gone_) return;
  auto request = std::make_unique<WriteRequest>();
  request->owner = this;
  request->bytes = std::exchange(output_, {});
  request->request.data = request.get();
  uv_buf_t buffer = uv_buf_init(request->bytes.data(), 0);
  buffer.len = request->bytes.size();  // uv_buf_init takes an unsigned int
  const int refused = uv_write(
      &request->request, stream(socket_.get()), &buffer, 1, [](uv_write_t* done, int status) {
        const std::unique_ptr<WriteRequest> ours(static_cast<WriteRequest*>(done->data));
        if (ours->owner) ours->owner->on_written(status);
      });
  if (refused != 0) {
    output_ = std::move(request->bytes);  // not sent: bytes_kept() has to count it
    return end(refused);
  }
  writing_ = request.release();
}

void Transport::on_written(int status) {
  writing_ = nullptr;
  if (status == 0) return flush();
  // A write that failed may have sent a part; bytes_kept() does not count it any more.
  // The peer is gone, but a last word of it ("max number of clients reached") may be waiting to be
  // read: let the reading side find the end, as it does at once.
  if (status == UV_EPIPE || status == UV_ECONNRESET) {
    peer_gone_ = true;
    return;
  }
  end(status);
}

std::size_t Transport::bytes_kept() const noexcept {
  return output_.size() + uv_stream_get_write_queue_size(stream(socket_.get()));
}

void Transport::end(int status) {
  if (ended_) return;
  ended_ = true;
  uv_read_stop(stream(socket_.get()));
  events_.ended(status == UV_EOF ? "the server closed it" : uv_strerror(status));
}

}  // namespace kvs::client

#include "protocol/client/reply_reader.h"

#include <cassert>
#include <charconv>
#include <string>
#include <utility>

#include <hiredis/read.h>

#include "protocol/client/limits.h"

namespace kvs::client {
namespace {

// A longer line is no number; hiredis says so.
constexpr std::size_t array_header_bytes_max = 32;

// Puts a new object where `task` says; null when the reply has too many already.
Reply* place(const redisReadTask* task, Reply::Kind kind) {
  auto* const building = static_cast<ReplyReader::Building*>(task->privdata);
  if (++building->objects > limits::reply_objects_max) {
    building->too_many = true;
    return nullptr;
  }
  Reply* reply = nullptr;
  if (task->parent) {
    // An array's address is stable while it is being filled: its own siblings come later.
    auto* const array = static_cast<Reply*>(task->parent->obj);
    reply = &array->elements.emplace_back();
  } else if (!building->open.empty()) {
    reply = &building->open.back().array->elements.emplace_back();
  } else {
    reply = &building->reply.emplace();
  }
  reply->kind = kind;
  return reply;
}

void* create_string(const redisReadTask* task, char* text, std::size_t bytes) {
  const Reply::Kind kind = task->type == REDIS_REPLY_ERROR    ? Reply::Kind::error
                           : task->type == REDIS_REPLY_STATUS ? Reply::Kind::status
                                                              : Reply::Kind::string;
  Reply* const reply = place(task, kind);
  if (reply) reply->text.assign(text, bytes);
  return reply;
}

void* create_array(const redisReadTask* task, int elements) {
  auto* const building = static_cast<ReplyReader::Building*>(task->privdata);
  if (static_cast<std::size_t>(elements) > limits::reply_objects_max) {
    building->too_many = true;
    return nullptr;
  }
  return place(task, Reply::Kind::array);
}

void* create_integer(const redisReadTask* task, long long value) {
  Reply* const reply = place(task, Reply::Kind::integer);
  if (reply) reply->integer = value;
  return reply;
}

void* create_nil(const redisReadTask* task) {
  return place(task, Reply::Kind::nil);
}

// `Building` owns the objects.
void free_object(void*) {}

redisReplyObjectFunctions functions{create_string, create_array, create_integer, create_nil,
                                    free_object};

}  // namespace

void ReplyReader::FreeReader::operator()(redisReader* reader) const noexcept {
  redisReaderFree(reader);
}

ReplyReader::ReplyReader() : reader_(redisReaderCreateWithFunctions(&functions)) {
  assert(reader_);  // fails only without memory
  reader_->privdata = &building_;
  // Above that much unused room hiredis gives its buffer back whenever it is empty.
  reader_->maxbuf = limits::kept_buffer_bytes_max;
}

ReplyReader::~ReplyReader() = default;

void ReplyReader::feed(std::string_view bytes) {
  if (failure_) return;
  partial_bytes_ += bytes.size();
  const int fed = redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
  assert(fed == REDIS_OK);  // fails only without memory
}

Result<std::optional<Reply>> ReplyReader::next() {
  if (failure_) return std::unexpected(*failure_);
  for (;;) {
    const Array array = open_array();
    if (array == Array::too_deep) return broken("the reply is nested too deeply");
    if (array == Array::opened) continue;
    void* complete = nullptr;
    if (array != Array::incomplete && redisReaderGetReply(reader_.get(), &complete) != REDIS_OK) {
      return broken(building_.too_many ? "the reply has too many elements" : reader_->errstr);
    }
    if (!complete) {
      if (Result<void> bounds = check_bounds(); !bounds) return broken(bounds.error().message());
      return std::nullopt;
    }
    std::vector<OpenArray>& open = building_.open;
    while (!open.empty() && --open.back().remaining == 0) open.pop_back();
    if (!open.empty()) continue;
    std::optional<Reply> reply = std::move(building_.reply);
    building_ = {};
    partial_bytes_ = reader_->len - reader_->pos;
    return reply;
  }
}

std::unexpected<Error> ReplyReader::broken(std::string why) {
  failure_.emplace(Code::protocol, std::move(why));
  return std::unexpected(*failure_);
}

ReplyReader::Array ReplyReader::open_array() {
  // hiredis is between two objects (it may have looked for one already), and an array begins?
  const bool idle = reader_->ridx < 0 || (reader_->ridx == 0 && reader_->rstack[0].type < 0);
  if (!idle || reader_->pos >= reader_->len || reader_->buf[reader_->pos] != '*') {
    return Array::none;
  }
  const std::string_view left(reader_->buf + reader_->pos, reader_->len - reader_->pos);
  const std::size_t line_bytes = left.substr(0, array_header_bytes_max).find("\r\n");
  if (line_bytes == std::string_view::npos) {
    return left.size() < array_header_bytes_max ? Array::incomplete : Array::none;
  }
  const std::string_view line = left.substr(0, line_bytes);
  std::size_t elements = 0;
  const char* const end = line.data() + line.size();
  const auto [stop, failure] = std::from_chars(line.data() + 1, end, elements);
  // An empty one, none at all and one that is wrong are hiredis' as well.
  if (failure != std::errc() || stop != end || elements == 0 ||
      elements > limits::reply_objects_max || building_.objects >= limits::reply_objects_max) {
    return Array::none;
  }
  if (building_.open.size() == limits::reply_depth_max) return Array::too_deep;
  ++building_.objects;
  Reply& reply = building_.open.empty() ? building_.reply.emplace()
                                        : building_.open.back().array->elements.emplace_back();
  reply.kind = Reply::Kind::array;
  building_.open.push_back({&reply, elements});
  reader_->pos += line.size() + 2;
  return Array::opened;
}

Result<void> ReplyReader::check_bounds() {
  if (partial_bytes_ > limits::reply_bytes_max) {
    return fail(Code::protocol, "the reply is too long");
  }
  // Of what is left unparsed, only the content of a string may be longer than a line.
  const std::size_t unparsed = reader_->len - reader_->pos;
  if (unparsed <= limits::reply_line_bytes_max) return {};
  const std::string_view left(reader_->buf + reader_->pos, limits::reply_line_bytes_max);
  const bool in_string = reader_->ridx >= 0 &&
                         reader_->rstack[reader_->ridx].type == REDIS_REPLY_STRING &&
                         left.substr(0, 32).find("\r\n") != std::string_view::npos;
  if (!in_string) return fail(Code::protocol, "a line of the reply does not end");
  return {};
}

}  // namespace kvs::client

#include "protocol/client/commands.h"

#include <charconv>

#include "protocol/client/request.h"

namespace kvs::client::commands {
namespace {

std::unexpected<Error> unexpected_reply() {
  return fail(Code::protocol,
              "the server answered with another kind of reply than the command has");
}

// `words` beside SET KEY VALUE.
void append_set(std::string& output, std::string_view key, std::string_view value,
                const SetOptions& options, std::initializer_list<std::string_view> words) {
  const bool conditional = options.when != SetOptions::When::always;
  const bool keeps = !options.expire_after && options.expiry == SetOptions::Expiry::keep;
  const std::size_t expiry_words = options.expire_after ? 2 : keeps ? 1 : 0;
  append_words_header(output, 3 + expiry_words + (conditional ? 1 : 0) + words.size());
  append_word(output, "SET");
  append_word(output, key);
  append_word(output, value);
  if (options.expire_after) {
    append_word(output, "PX");
    append_word(output, NumberWord(options.expire_after->count()).view());
  }
  if (keeps) append_word(output, "KEEPTTL");
  if (conditional) append_word(output, options.when == SetOptions::When::absent ? "NX" : "XX");
  for (const std::string_view word : words) append_word(output, word);
}

Result<std::optional<std::string>> string_or_nil(Reply reply) {
  if (reply.kind == Reply::Kind::nil) return std::nullopt;
  if (reply.kind != Reply::Kind::string) return unexpected_reply();
  return std::optional<std::string>(std::move(reply.text));
}

Result<bool> one_or_zero(const Reply& reply) {
  if (reply.kind != Reply::Kind::integer) return unexpected_reply();
  return reply.integer != 0;
}

}  // namespace

void Get::encode(std::string& output) const {
  append_request(output, {"GET", key});
}

Result<Get::Value> Get::decode(Reply reply) {
  return string_or_nil(std::move(reply));
}

void Set::encode(std::string& output) const {
  append_set(output, key, value, options, {});
}

Result<bool> Set::decode(Reply reply) {
  if (reply.kind == Reply::Kind::nil) return false;
  if (reply.kind != Reply::Kind::status) return unexpected_reply();
  return true;
}

void GetAndSet::encode(std::string& output) const {
  append_set(output, key, value, options, {"GET"});
}

Result<GetAndSet::Value> GetAndSet::decode(Reply reply) {
  return string_or_nil(std::move(reply));
}

void Remove::encode(std::string& output) const {
  append_request(output, {"DEL", key});
}

Result<void> Remove::decode(const Reply& reply) {
  if (reply.kind != Reply::Kind::integer) return unexpected_reply();
  if (reply.integer == 0) return fail(Code::not_found, "Key not found");
  return {};
}

void Exists::encode(std::string& output) const {
  append_request(output, {"EXISTS", key});
}

Result<bool> Exists::decode(const Reply& reply) {
  return one_or_zero(reply);
}

void Expire::encode(std::string& output) const {
  append_request(output, {"PEXPIRE", key, NumberWord(after.count()).view()});
}

Result<bool> Expire::decode(const Reply& reply) {
  return one_or_zero(reply);
}

void TimeToLive::encode(std::string& output) const {
  append_request(output, {"PTTL", key});
}

Result<TimeToLive::Value> TimeToLive::decode(const Reply& reply) {
  if (reply.kind != Reply::Kind::integer) return unexpected_reply();
  if (reply.integer == -2) return fail(Code::not_found, "Key not found");
  if (reply.integer == -1) return std::nullopt;
  if (reply.integer < 0) return unexpected_reply();
  return std::chrono::milliseconds(reply.integer);
}

void Increment::encode(std::string& output) const {
  append_request(output, {"INCRBY", key, NumberWord(by).view()});
}

Result<std::int64_t> Increment::decode(const Reply& reply) {
  if (reply.kind != Reply::Kind::integer) return unexpected_reply();
  return reply.integer;
}

Result<void> GetMany::check() const {
  if (keys.empty()) return fail(Code::invalid, "get_many needs at least one key");
  return {};
}

void GetMany::encode(std::string& output) const {
  append_words_header(output, 1 + keys.size());
  append_word(output, "MGET");
  for (const std::string_view key : keys) append_word(output, key);
}

Result<GetMany::Value> GetMany::decode(Reply reply) {
  if (reply.kind != Reply::Kind::array) return unexpected_reply();
  Value values;
  values.reserve(reply.elements.size());
  for (Reply& element : reply.elements) {
    Result<std::optional<std::string>> value = string_or_nil(std::move(element));
    if (!value) return std::unexpected(std::move(value).error());
    values.push_back(std::move(*value));
  }
  return values;
}

Result<void> SetMany::check() const {
  if (pairs.empty()) return fail(Code::invalid, "set_many needs at least one key");
  return {};
}

void SetMany::encode(std::string& output) const {
  append_words_header(output, 1 + 2 * pairs.size());
  append_word(output, "MSET");
  for (const auto& [key, value] : pairs) {
    append_word(output, key);
    append_word(output, value);
  }
}

Result<void> SetMany::decode(const Reply& reply) {
  if (reply.kind != Reply::Kind::status) return unexpected_reply();
  return {};
}

void Scan::encode(std::string& output) const {
  append_words_header(output, 2 + (options.match.empty() ? 0 : 2) + (options.count_hint ? 2 : 0));
  append_word(output, "SCAN");
  append_word(output, std::to_string(cursor));  // may be above what a signed number holds
  if (!options.match.empty()) {
    append_word(output, "MATCH");
    append_word(output, options.match);
  }
  if (options.count_hint) {
    append_word(output, "COUNT");
    append_word(output, std::to_string(*options.count_hint));
  }
}

Result<ScanPage> Scan::decode(Reply reply) {
  if (reply.kind != Reply::Kind::array || reply.elements.size() != 2) return unexpected_reply();
  const Reply& cursor = reply.elements[0];
  Reply& keys = reply.elements[1];
  if (cursor.kind != Reply::Kind::string || keys.kind != Reply::Kind::array) {
    return unexpected_reply();
  }
  ScanPage page;
  const char* const end = cursor.text.data() + cursor.text.size();
  const auto [stopped, failed] = std::from_chars(cursor.text.data(), end, page.cursor);
  if (failed != std::errc() || stopped != end) return unexpected_reply();
  page.keys.reserve(keys.elements.size());
  for (Reply& key : keys.elements) {
    if (key.kind != Reply::Kind::string) return unexpected_reply();
    page.keys.push_back(std::move(key.text));
  }
  return page;
}

Result<void> Any::check() const {
  if (words.empty()) return fail(Code::invalid, "a command needs at least one word");
  return {};
}

void Any::encode(std::string& output) const {
  append_request(output, words);
}

}  // namespace kvs::client::commands

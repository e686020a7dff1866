// client_reply_fuzz.cc - any bytes of a server, cut in any way, give the same replies and the same
// end; and every command makes a value or an error of every reply.
//
// The first four bytes of the input choose the cuts, the rest is what the server sends.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include "protocol/client/commands.h"
#include "protocol/client/limits.h"
#include "protocol/client/reply_reader.h"

namespace {

using kvs::client::Reply;
using kvs::client::ReplyReader;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

struct Transcript {
  std::vector<Reply> replies;
  bool failed = false;
};

// False: the reader will give nothing more.
bool take_all(ReplyReader& reader, Transcript& transcript) {
  for (;;) {
    auto reply = reader.next();
    if (!reply) {
      require(reply.error().code() == kvs::Code::protocol, "an error is a protocol error");
      require(!reader.next(), "an error stays");
      transcript.failed = true;
      return false;
    }
    if (!*reply) return true;
    transcript.replies.push_back(std::move(**reply));
  }
}

template <class Cut>
Transcript read(std::string_view bytes, Cut cut) {
  ReplyReader reader;
  Transcript transcript;
  while (!bytes.empty()) {
    const std::size_t size = std::min({bytes.size(), cut(), kvs::client::limits::read_bytes});
    reader.feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (!take_all(reader, transcript)) break;
  }
  return transcript;
}

template <class... Commands>
void decode_as(const Reply& reply) {
  const auto sane = [](const auto& value) {
    if (value) return true;
    const kvs::Code code = value.error().code();
    return code == kvs::Code::protocol || code == kvs::Code::not_found;
  };
  require((sane(Commands::decode(reply)) && ...), "a reply is a value, absence or an error");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t choices = 4;
  if (size < choices) return 0;
  std::minstd_rand random(1U + data[0] + 256U * data[1]);
  const std::size_t piece_max = 1 + data[2];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + choices, size - choices);

  const Transcript whole = read(bytes, [] { return kvs::client::limits::read_bytes; });
  const Transcript single = read(bytes, [] { return std::size_t{1}; });
  const Transcript cut_up = read(bytes, [&] { return 1 + random() % piece_max; });
  require(single.replies == whole.replies, "byte by byte gives the same replies");
  require(single.failed == whole.failed, "byte by byte gives the same end");
  require(cut_up.replies == whole.replies, "pieces give the same replies");
  require(cut_up.failed == whole.failed, "pieces give the same end");

  using namespace kvs::client::commands;
  for (const Reply& reply : whole.replies) {
    decode_as<Get, Set, GetAndSet, Remove, Exists, Expire, TimeToLive, Increment, GetMany, SetMany,
              Scan, Any>(reply);
  }
  return 0;
}

// request_feed.h - drives a RequestParser the way a connection does, over any cutting of the input.
//
// Each call of the parser gets its bytes in a fresh allocation of exactly their size, so that ASan
// sees every read beyond them, and every view that outlives its buffer.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp/request_parser.h"
#include "tests/support/request.h"

namespace kvs::test {

struct FeedOptions {
  resp::ParserLimits limits;
  bool authenticated = true;
};

// Everything that can be observed of one input.
struct Transcript {
  std::vector<Request> requests;
  std::string error;       // empty: none
  std::size_t unused = 0;  // bytes of a request that has begun but is not complete
  bool consumed_too_much = false;
  bool empty_without_progress = false;

  bool operator==(const Transcript&) const = default;
};

class RequestFeed {
 public:
  explicit RequestFeed(const FeedOptions& options) : parser_(options.limits) {
    parser_.set_authenticated(options.authenticated);
  }

  void feed(std::string_view more) {
    pending_ += more;
    while (transcript_.error.empty()) {
      const std::unique_ptr<char[]> exact(new char[pending_.size()]);
      pending_.copy(exact.get(), pending_.size());
      const auto outcome = parser_.parse({exact.get(), pending_.size()});
      if (!note(outcome)) break;
      pending_.erase(0, outcome.consumed);
    }
    transcript_.unused = pending_.size();
  }

  const Transcript& transcript() const { return transcript_; }
  const resp::RequestParser& parser() const { return parser_; }

 private:
  // True: there may be more in what is left.
  bool note(resp::RequestParser::Outcome outcome) {
    using Status = resp::RequestParser::Status;
    if (outcome.consumed > pending_.size()) {
      transcript_.consumed_too_much = true;
      transcript_.error = "(consumed more than was there)";
      return false;
    }
    switch (outcome.status) {
      case Status::complete:
        transcript_.requests.emplace_back(parser_.args().begin(), parser_.args().end());
        return true;
      case Status::empty:
        if (outcome.consumed == 0) transcript_.empty_without_progress = true;
        return outcome.consumed > 0;
      case Status::error:
        transcript_.error = parser_.error();
        return false;
      case Status::incomplete:
        return false;
    }
    return false;
  }

  resp::RequestParser parser_;
  std::string pending_;
  Transcript transcript_;
};

inline Transcript feed_at_once(std::string_view bytes, const FeedOptions& options = {}) {
  RequestFeed feed(options);
  feed.feed(bytes);
  return feed.transcript();
}

inline Transcript feed_cut_at(std::string_view bytes, std::size_t cut,
                              const FeedOptions& options = {}) {
  RequestFeed feed(options);
  feed.feed(bytes.substr(0, cut));
  feed.feed(bytes.substr(cut));
  return feed.transcript();
}

inline Transcript feed_byte_by_byte(std::string_view bytes, const FeedOptions& options = {}) {
  RequestFeed feed(options);
  for (const char& byte : bytes) feed.feed({&byte, 1});
  return feed.transcript();
}

}  // namespace kvs::test

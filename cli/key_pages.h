// key_pages.h - a walk over all keys with SCAN: what to ask next, and what the answer was.
//
// Who sends it, and what else is in flight, is the caller's: scan waits for each page, export reads
// ahead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/async/result.h"
#include "protocol/client/reply.h"

namespace kvs::cli {

class KeyPages {
 public:
  // Empty `pattern`, `type`: every key.
  KeyPages(std::string pattern, std::string type, std::uint64_t page_keys)
      : pattern_(std::move(pattern)), type_(std::move(type)), page_keys_(page_keys) {}

  bool at_end() const noexcept { return at_end_; }
  std::vector<std::string> request() const;
  // Errors: the reply's own, Code::protocol when it is no page.
  Result<std::vector<std::string>> take(Result<client::Reply> reply);

 private:
  std::string pattern_;
  std::string type_;
  std::uint64_t page_keys_;
  std::string cursor_ = "0";
  bool at_end_ = false;
};

}  // namespace kvs::cli

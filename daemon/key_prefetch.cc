#include "daemon/key_prefetch.h"

#include "daemon/wanted_values.h"

namespace kvs::daemon {
namespace {

// As many as the index looks up side by side.
constexpr std::size_t requests_max = 16;
// A request with more keys than this gains nothing from being looked at: the first of them would
// have left the caches before the last one has come.
constexpr std::size_t keys_max = 256;

}  // namespace

std::size_t KeyPrefetch::look_at(std::string_view input, Database database) {
  keys_.clear();
  resp::RequestParser parser;
  std::size_t requests = 0;
  while (requests < requests_max && keys_.size() < keys_max && !input.empty()) {
    const auto outcome = parser.parse(input);
    // What is wrong with the input is for the connection to find.
    if (outcome.status != resp::RequestParser::Status::complete) break;
    const Args words = parser.args();
    const Command* const command = commands_.find(words[0]);
    // Words with quotes lie in the parser.
    const bool in_input = input.front() == '*';
    if (command != nullptr && command->has(reads) && in_input) {
      visit_keys(*command, words, [&](std::string_view name) {
        if (keys_.size() < keys_max) keys_.push_back({database, name});
      });
    }
    input.remove_prefix(outcome.consumed);
    ++requests;
  }
  if (keys_.size() > 1) engine_.prefetch(keys_);
  return requests > 0 ? requests - 1 : 0;
}

}  // namespace kvs::daemon

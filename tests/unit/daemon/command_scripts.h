// command_scripts.h - what each command answers, request by request.
//
// The replies were given by redis-server 7.0.15; where kvs answers something else on purpose, a row
// says both, and why. KVS_DIFF_REDIS=host:port makes the test ask a real server again.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace kvs::daemon::test {

struct Exchange {
  std::string_view request;      // words as a shell would read them
  std::string_view reply;        // without line ends: a space for each; %d is any number
  std::string_view redis = {};   // what Redis answers, when that is something else
  std::string_view reason = {};  // why
};

// Runs on a connection of its own, over empty databases.
struct Script {
  std::string_view sentence;
  std::vector<Exchange> exchanges;
};

std::span<const Script> command_scripts();

}  // namespace kvs::daemon::test

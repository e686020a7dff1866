#include "tests/differential/meant.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "tests/differential/grammar.h"

namespace kvs::test {

namespace {

constexpr MeantDifference differences[] = {
    {"readonly", "-ERR This instance has cluster support disabled", "+OK",
     "clients that know clusters send it to every server"},
    {"readwrite", "-ERR This instance has cluster support disabled", "+OK",
     "clients that know clusters send it to every server"},
    {"eval*", "*", "-ERR this server runs no Lua; only well-known lock scripts are recognised",
     "kvs runs no Lua"},
    {"script|load", "*",
     "-ERR this server runs no Lua; only well-known lock scripts are recognised",
     "kvs runs no Lua"},
    {"memory|usage", ":*", "*", "Redis shows what has expired and was not met since"},
    {"object|refcount", ":*", ":1",
     "Redis shares the integers up to 9999, and values with replies"},
    {"object|encoding", "$6*embstr", "$3*int", "Redis keeps how a value came to be, kvs its bytes"},
    {"object|encoding", "$3*raw", "$*", "Redis keeps how a value came to be, kvs its bytes"},
    {"object|idletime", ":*", ":0", "idle times are not kept"},
    {"pfmerge", "+OK", "-NOPERM this user has no permissions to access one of the keys*",
     "Redis asks the ACL for no key of a PFMERGE that names its destination alone"},
};

std::array<std::size_t, std::size(differences)> met{};

bool fits(std::string_view text, std::string_view pattern) {
  while (!pattern.empty()) {
    if (pattern.front() == '*') {
      pattern.remove_prefix(1);
      if (pattern.empty()) return true;
      for (std::size_t skip = 0; skip <= text.size(); ++skip) {
        if (fits(text.substr(skip), pattern)) return true;
      }
      return false;
    }
    if (text.empty() || text.front() != pattern.front()) return false;
    text.remove_prefix(1);
    pattern.remove_prefix(1);
  }
  return text.empty();
}

// Without quotes, and without the last line end.
std::string inner(std::string_view reply) {
  if (reply.ends_with("\r\n")) reply.remove_suffix(2);
  const std::string shown = shown_word(reply);
  return shown.substr(1, shown.size() - 2);
}

}  // namespace

bool is_meant(std::string_view command, std::string_view redis, std::string_view kvs) {
  const std::string shown_redis = inner(redis);
  const std::string shown_kvs = inner(kvs);
  for (std::size_t i = 0; i < std::size(differences); ++i) {
    const MeantDifference& meant = differences[i];
    if (fits(command, meant.command) && fits(shown_redis, meant.redis) &&
        fits(shown_kvs, meant.kvs)) {
      ++met[i];
      return true;
    }
  }
  return false;
}

std::vector<const MeantDifference*> stale_differences() {
  std::vector<const MeantDifference*> out;
  for (std::size_t i = 0; i < std::size(differences); ++i) {
    if (met[i] == 0) out.push_back(&differences[i]);
  }
  return out;
}

}  // namespace kvs::test

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
    {"dbsize", ":*", ":*", "Redis counts what has expired and was not met since"},
    {"command|getkeysandflags", "*", "*variable_flags*",
     "what may be done to a key is said of the command, not of its options"},
    {"command|getkeys*", "-ERR Invalid number of arguments specified for command",
     "-ERR Invalid command specified", "a subcommand with too few words is none"},
    {"command|getkeys*", "-ERR The command has no key arguments", "-ERR Invalid command specified",
     "a subcommand with too few words is none"},
    {"command|info", "*", "*", "what Redis has beside, and flags that follow from types"},
    {"acl|dryrun", "*no permissions to access the 'a' *",
     "*no permissions to access the 'a\\x00b' *",
     "a key is named whole, not up to its first zero byte"},
    {"*expire*", "-ERR Unsupported option*", "-ERR Unsupported option*",
     "line ends and zero bytes in an error become spaces, Redis ends or trims the text there"},
    {"*|*", "-ERR unknown subcommand or wrong number of arguments for *",
     "-ERR wrong number of arguments for '*|*' command", "it says which of the two it is"},
    {"acl|setuser", "-ERR Error in ACL SETUSER modifier *", "-ERR Error in ACL SETUSER modifier *",
     "a rule is named whole, not up to its first zero byte or line end"},
    {"object|help", "*", "*", "the texts say what kvs does"},
    {"object|refcount", ":*", ":1",
     "Redis shares the integers up to 9999, and values with replies"},
    {"client|getname", "$*", "$-1", "a HELLO that is refused names nobody"},
    {"client|list", "*addr=*", "*addr=*", "each server has its own numbers"},
    {"acl|*", "-ERR User '*", "-ERR User '*",
     "a user is named whole, not up to its first zero byte"},
    {"hello", "-ERR Syntax error in HELLO option '*", "-ERR Syntax error in HELLO option '*",
     "an option is named whole, not up to its first zero byte"},
    {"object|encoding", "$6*embstr", "$3*int", "Redis keeps how a value came to be, kvs its bytes"},
    {"object|encoding", "$3*raw", "$*", "Redis keeps how a value came to be, kvs its bytes"},
    {"object|idletime", ":*", ":0", "idle times are not kept"},
    {"config|get", "*repl-diskless-sync*", "*", "each server has parameters of its own"},
    {"command|list", "*brpop*", "*", "Redis has commands of other types"},
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

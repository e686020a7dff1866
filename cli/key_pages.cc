#include "cli/key_pages.h"

#include <utility>

namespace kvs::cli {

std::vector<std::string> KeyPages::request() const {
  std::vector<std::string> words{"SCAN", cursor_, "COUNT", std::to_string(page_keys_)};
  if (!pattern_.empty()) words.insert(words.end(), {"MATCH", pattern_});
  if (!type_.empty()) words.insert(words.end(), {"TYPE", type_});
  return words;
}

Result<std::vector<std::string>> KeyPages::take(Result<client::Reply> reply) {
  using Kind = client::Reply::Kind;
  if (!reply) return std::unexpected(std::move(reply).error());
  if (reply->kind != Kind::array || reply->elements.size() != 2 ||
      reply->elements[0].kind != Kind::string || reply->elements[1].kind != Kind::array) {
    return fail(Code::protocol, "the server answered SCAN with something else than a page");
  }
  cursor_ = reply->elements[0].text;
  at_end_ = cursor_ == "0";
  std::vector<std::string> keys;
  keys.reserve(reply->elements[1].elements.size());
  for (client::Reply& element : reply->elements[1].elements) {
    keys.push_back(std::move(element.text));
  }
  return keys;
}

}  // namespace kvs::cli

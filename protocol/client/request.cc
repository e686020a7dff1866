#include "protocol/client/request.h"

#include <cassert>
#include <charconv>

namespace kvs::client {
namespace {

void append_header(std::string& output, char kind, std::size_t number) {
  const NumberWord word(static_cast<long long>(number));
  output.push_back(kind);
  output.append(word.view());
  output.append("\r\n");
}

}  // namespace

NumberWord::NumberWord(long long number) noexcept {
  const auto [end, failed] = std::to_chars(digits_, digits_ + sizeof digits_, number);
  assert(failed == std::errc());
  size_ = static_cast<std::size_t>(end - digits_);
}

void append_words_header(std::string& output, std::size_t words) {
  assert(words > 0);
  append_header(output, '*', words);
}

void append_word(std::string& output, std::string_view word) {
  append_header(output, '$', word.size());
  output.append(word);
  output.append("\r\n");
}

void append_request(std::string& output, std::span<const std::string_view> words) {
  append_words_header(output, words.size());
  for (const std::string_view word : words) append_word(output, word);
}

}  // namespace kvs::client

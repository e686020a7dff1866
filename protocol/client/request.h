// request.h - commands as the bytes that go over the wire, appended to a buffer that has room.
//
// hiredis' formatter (redisFormatCommandArgv) allocates memory for each command, and an operation
// that allocates nothing cannot afford that; a test holds these bytes against hiredis'.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace kvs::client {

// Begins a command of `words` words; exactly so many calls of append_word must follow.
void append_words_header(std::string& output, std::size_t words);

// Any bytes.
void append_word(std::string& output, std::string_view word);

// A whole command; at least one word.
void append_request(std::string& output, std::span<const std::string_view> words);
inline void append_request(std::string& output, std::initializer_list<std::string_view> words) {
  append_request(output, std::span<const std::string_view>(words.begin(), words.size()));
}

// A number as a word, without memory from the heap.
class NumberWord {
 public:
  explicit NumberWord(long long number) noexcept;
  std::string_view view() const noexcept { return {digits_, size_}; }

 private:
  char digits_[24];
  std::size_t size_;
};

}  // namespace kvs::client

// reply_writer.cc - one append per reply part; numbers are formatted on the stack.
#include "protocol/resp/reply_writer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>

namespace kvs::resp {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::size_t integer_chars_max = 20;  // -9223372036854775808
// From here on a bulk string is worth some trouble to copy it less often.
constexpr std::size_t long_bulk_bytes = 64 * 1024;
// Ample: a sign, 17 digits, a point, and 7 zeros or an exponent.
constexpr std::size_t number_chars_max = 64;

// Lays the shortest digits of `value` out as Redis 7.2 does: plain while there are few zeros to
// add, with an exponent of no fixed width otherwise. Returns the end of the text.
char* format_number(double value, char* out) {
  if (std::isnan(value)) return std::copy_n("nan", 3, out);
  if (std::signbit(value)) {
    *out++ = '-';
    value = -value;
  }
  if (std::isinf(value)) return std::copy_n("inf", 3, out);

  // "d.ddde+XX": the digits, and where the point belongs.
  std::array<char, number_chars_max> scientific;
  const auto [end, failure] =
      std::to_chars(scientific.data(), scientific.data() + scientific.size(), value,
                    std::chars_format::scientific);
  assert(failure == std::errc{});
  const char* const exponent_mark = std::find(scientific.data(), end, 'e');
  std::array<char, number_chars_max> digits;
  char* const digits_end = std::remove_copy(static_cast<const char*>(scientific.data()),
                                            exponent_mark, digits.data(), '.');
  const int count = static_cast<int>(digits_end - digits.data());
  int exponent = 0;  // of the first digit; from_chars knows no '+'
  std::from_chars(exponent_mark + 2, end, exponent);
  if (exponent_mark[1] == '-') exponent = -exponent;
  const int zeros = exponent - count + 1;  // to append to the digits; negative: a point among them

  if (zeros >= 0 && exponent < count + 7) {
    out = std::copy(digits.data(), digits_end, out);
    return std::fill_n(out, zeros, '0');
  }
  if (zeros < 0 && (zeros > -7 || std::abs(exponent) < 4)) {
    if (exponent < 0) {
      out = std::copy_n("0.", 2, out);
      out = std::fill_n(out, -exponent - 1, '0');
      return std::copy(digits.data(), digits_end, out);
    }
    out = std::copy_n(digits.data(), exponent + 1, out);
    *out++ = '.';
    return std::copy(digits.data() + exponent + 1, digits_end, out);
  }
  *out++ = digits[0];
  if (count > 1) {
    *out++ = '.';
    out = std::copy(digits.data() + 1, digits_end, out);
  }
  *out++ = 'e';
  *out++ = exponent < 0 ? '-' : '+';
  return std::to_chars(out, out + integer_chars_max, std::abs(exponent)).ptr;
}

}  // namespace

void ReplyWriter::header(char type, std::int64_t count) {
  std::array<char, 1 + integer_chars_max + 2> line;
  line[0] = type;
  char* end = line.data() + 2;
  if (count >= 0 && count < 10) {
    line[1] = static_cast<char>('0' + count);
  } else {
    end = std::to_chars(line.data() + 1, line.data() + 1 + integer_chars_max, count).ptr;
  }
  *end++ = '\r';
  *end++ = '\n';
  out_.append(line.data(), static_cast<std::size_t>(end - line.data()));
}

void ReplyWriter::simple(std::string_view text) {
  assert(text.find_first_of(line_end) == std::string_view::npos);
  out_ += '+';
  out_ += text;
  out_ += line_end;
}

void ReplyWriter::error(std::string_view text) {
  out_ += '-';
  const std::size_t begin = out_.size();
  out_ += text.substr(0, text.find_last_not_of(line_end) + 1);
  std::replace_if(
      out_.begin() + static_cast<std::ptrdiff_t>(begin), out_.end(),
      [](char c) { return c == '\r' || c == '\n'; }, ' ');
  out_ += line_end;
}

void ReplyWriter::integer(std::int64_t value) {
  header(':', value);
}

void ReplyWriter::bulk(std::string_view bytes) {
  header('$', static_cast<std::int64_t>(bytes.size()));
  rest_of_bulk(bytes);
}

void ReplyWriter::bulk(std::string&& bytes) {
  if (bytes.size() < long_bulk_bytes || !out_.empty()) return bulk(std::string_view(bytes));
  header('$', static_cast<std::int64_t>(bytes.size()));
  if (bytes.capacity() - bytes.size() < out_.size() + line_end.size()) {
    return rest_of_bulk(bytes);
  }
  bytes.insert(0, out_);
  bytes += line_end;
  out_ = std::move(bytes);
}

void ReplyWriter::rest_of_bulk(std::string_view bytes) {
  // Or the two bytes behind a long one would double what was allocated for it.
  if (bytes.size() >= long_bulk_bytes) out_.reserve(out_.size() + bytes.size() + line_end.size());
  out_ += bytes;
  out_ += line_end;
}

void ReplyWriter::null() {
  out_ += version_ == Version::resp3 ? "_\r\n" : "$-1\r\n";
}

void ReplyWriter::null_array() {
  out_ += version_ == Version::resp3 ? "_\r\n" : "*-1\r\n";
}

void ReplyWriter::number(double value) {
  std::array<char, number_chars_max> text;
  const char* const end = format_number(value, text.data());
  const std::string_view written(text.data(), static_cast<std::size_t>(end - text.data()));
  if (version_ == Version::resp2) return bulk(written);
  out_ += ',';
  out_ += written;
  out_ += line_end;
}

void ReplyWriter::boolean(bool value) {
  if (version_ == Version::resp3) {
    out_ += value ? "#t\r\n" : "#f\r\n";
  } else {
    out_ += value ? ":1\r\n" : ":0\r\n";
  }
}

void ReplyWriter::verbatim(std::string_view text) {
  if (version_ == Version::resp2) return bulk(text);
  constexpr std::string_view format = "txt:";
  header('=', static_cast<std::int64_t>(format.size() + text.size()));
  out_ += format;
  out_ += text;
  out_ += line_end;
}

void ReplyWriter::array(std::size_t elements) {
  header('*', static_cast<std::int64_t>(elements));
}

void ReplyWriter::map(std::size_t pairs) {
  if (version_ == Version::resp3) return header('%', static_cast<std::int64_t>(pairs));
  array(pairs * 2);
}

void ReplyWriter::set(std::size_t elements) {
  header(version_ == Version::resp3 ? '~' : '*', static_cast<std::int64_t>(elements));
}

void ReplyWriter::push(std::size_t elements) {
  header(version_ == Version::resp3 ? '>' : '*', static_cast<std::int64_t>(elements));
}

}  // namespace kvs::resp

#include "cli/bytes.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace kvs::cli {
namespace {

constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> digit_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    values[static_cast<unsigned char>(digits[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr std::array<std::int8_t, 256> value_of_digit = digit_values();

constexpr unsigned byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<unsigned char>(bytes[index]);
}

// The length of the character at `at`, 0 when none begins there: overlong forms, surrogates and
// what is beyond U+10FFFF are none (RFC 3629).
std::size_t character_bytes(std::string_view bytes, std::size_t at) noexcept {
  const unsigned first = byte_at(bytes, at);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() - at < size) return 0;
  const unsigned second = byte_at(bytes, at + 1);
  const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if ((byte_at(bytes, at + i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

bool is_utf8(std::string_view bytes) noexcept {
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = character_bytes(bytes, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t here = std::min<std::size_t>(3, bytes.size() - i);
    unsigned group = byte_at(bytes, i) << 16;
    if (here > 1) group |= byte_at(bytes, i + 1) << 8;
    if (here > 2) group |= byte_at(bytes, i + 2);
    text += digits[group >> 18];
    text += digits[(group >> 12) & 63];
    text += here > 1 ? digits[(group >> 6) & 63] : '=';
    text += here > 2 ? digits[group & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    unsigned group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const bool padded = last && j >= 4 - padding;
      const int value = padded ? 0 : value_of_digit[byte_at(text, i + j)];
      if (value < 0) return std::nullopt;
      group = group << 6 | static_cast<unsigned>(value);
    }
    const std::size_t count = last ? 3 - padding : 3;
    // Bits that no byte takes must be 0, or two texts would mean the same bytes.
    if ((group & ((1U << (8 * (3 - count))) - 1)) != 0) return std::nullopt;
    for (std::size_t j = 0; j < count; ++j) {
      bytes += static_cast<char>(group >> (16 - 8 * j) & 0xff);
    }
  }
  return bytes;
}

Json to_json(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  return Json{{"base64", to_base64(bytes)}};
}

std::optional<std::string> from_json(const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_object() || json.size() != 1 || !json.contains("base64")) return std::nullopt;
  const Json& text = json.at("base64");
  if (!text.is_string()) return std::nullopt;
  return from_base64(text.get_ref<const std::string&>());
}

std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string in_quotes(std::string_view bytes) {
  std::string text = "\"";
  for (std::size_t at = 0; at < bytes.size();) {
    const char byte = bytes[at];
    const std::size_t size = character_bytes(bytes, at);
    if (size > 1 && !(size == 2 && byte == '\xc2' && byte_at(bytes, at + 1) < 0xa0)) {
      text += bytes.substr(at, size);
      at += size;
      continue;
    }
    ++at;
    switch (byte) {
      case '\\':
      case '"':
        text += '\\';
        text += byte;
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\t':
        text += "\\t";
        break;
      case '\a':
        text += "\\a";
        break;
      case '\b':
        text += "\\b";
        break;
      default:
        if (byte >= ' ' && byte < 127) {
          text += byte;
        } else {
          std::array<char, 5> escaped{};
          std::snprintf(escaped.data(), escaped.size(), "\\x%02x",
                        static_cast<unsigned>(static_cast<unsigned char>(byte)));
          text += escaped.data();
        }
    }
  }
  return text + '"';
}

}  // namespace kvs::cli

// request.h - a command as the bytes that go over the wire.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kvs::client {

// Encodes `words`, which may hold any bytes; at least one.
std::string encode_request(std::span<const std::string_view> words);

}  // namespace kvs::client

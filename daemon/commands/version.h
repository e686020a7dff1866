// version.h - what kvs says of itself. Clients look for features by Redis' version, so a compatible
// one is given beside our own (as Valkey does).
#pragma once

#include <string_view>

#ifndef KVS_VERSION
#define KVS_VERSION "0.1.0"
#endif

namespace kvs::daemon {

inline constexpr std::string_view redis_version = "7.2.4";
inline constexpr std::string_view kvs_version = KVS_VERSION;

}  // namespace kvs::daemon

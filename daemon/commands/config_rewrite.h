// config_rewrite.h - the text of a config file with other values in it, for CONFIG REWRITE.
#pragma once

#include <string>

#include "daemon/config.h"
#include "daemon/context.h"

namespace kvs::daemon {

// `started` with what CONFIG SET has changed since.
Config current_config(const Config& started, const Settings& settings);

// `text` so that a server started with it has the values of `current`. Comments, order and what is
// right already stay; of several lines about one option the last counts and is changed. What the
// file does not say is appended only if it differs from `started`.
std::string rewritten_config(const std::string& text, const Config& started, const Config& current);

}  // namespace kvs::daemon

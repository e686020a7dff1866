// watch.h - `kvs-client watch`: what the server does, second by second, from INFO.
//
// One line per interval; on a terminal a table that is redrawn in place. Rates are differences of
// INFO's counters, so they are right whatever the interval.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cli/connection.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace kvs::cli {

enum class WatchUntil : std::uint8_t { interrupted, one_line };

struct WatchOptions {
  double interval_seconds = 1;
  WatchUntil until = WatchUntil::interrupted;
};

CLI::App* declare_watch(CLI::App& app, WatchOptions& options);

int run_watch(const ConnectionOptions& to, const OutputOptions& output,
              const WatchOptions& options);

using Info = std::map<std::string, std::string, std::less<>>;
// The fields of INFO's text.
Info parse_info(std::string_view text);

// What happened between two of them, so many seconds apart. Fields that a server does not have
// (Redis knows nothing of kvs_syncs) are null.
Json watch_sample(const Info& before, const Info& now, double seconds);

}  // namespace kvs::cli

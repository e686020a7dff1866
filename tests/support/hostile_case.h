// hostile_case.h - one input, the exact bytes that answer it, and whether the connection survives;
// checked with the input cut in two at every byte.
//
// Every cut has a connection of its own. Many are in flight at once, so that the pause between the
// two halves, which makes the server see them apart, is paid once for all.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/server_process.h"
#include "tests/support/socket.h"

namespace kvs::test {

enum class After : std::uint8_t {
  stays,   // the connection goes on: a request behind the input is answered as ever
  closes,  // the reply is the last thing that comes
};

struct HostileCase {
  std::string input;
  std::string reply;
  After after = After::stays;
};

inline constexpr std::string_view sentinel_request = "*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n";
inline constexpr std::string_view sentinel_reply = "$3\r\nend\r\n";

// Where to cut `size` bytes: everywhere, or around both ends of a long input. 0: not at all.
inline std::vector<std::size_t> cuts_of(std::size_t size) {
  constexpr std::size_t everywhere_max = 500;
  constexpr std::size_t near = 8;
  std::vector<std::size_t> cuts;
  for (std::size_t cut = 0; cut < size; ++cut) {
    if (size > everywhere_max && cut == near) {
      cuts.push_back(size / 2);
      cut = size - near;
    }
    cuts.push_back(cut);
  }
  return cuts;
}

inline std::string shown(std::string_view bytes) {
  std::string out;
  for (const char c : bytes.substr(0, 300)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      static constexpr char digits[] = "0123456789abcdef";
      out += {'\\', 'x', digits[(c >> 4) & 15], digits[c & 15]};
    }
  }
  return bytes.size() > 300 ? out + "... (" + std::to_string(bytes.size()) + " bytes)" : out;
}

// Returns what differs from the expectation, empty when nothing does.
inline std::string outcome_of(Socket& socket, const HostileCase& hostile) {
  try {
    std::string got;
    std::string expected = hostile.reply;
    if (hostile.after == After::closes) {
      got = socket.read_until_close();
    } else {
      expected += sentinel_reply;
      got = socket.read_exact(expected.size());
    }
    return got == expected ? "" : "got '" + shown(got) + "', not '" + shown(expected) + "'";
  } catch (const SocketError& error) {
    return std::string(error.what()) + ", instead of '" + shown(hostile.reply) + "'";
  }
}

inline void check_at_every_split(const ServerProcess& server, const HostileCase& hostile) {
  constexpr std::size_t connections_max = 100;
  constexpr auto apart = std::chrono::milliseconds(2);
  std::string input = hostile.input;
  if (hostile.after == After::stays) input += sentinel_request;

  const std::vector<std::size_t> cuts = cuts_of(hostile.input.size() + 1);
  for (std::size_t first = 0; first < cuts.size(); first += connections_max) {
    const std::size_t last = std::min(cuts.size(), first + connections_max);
    std::vector<Socket> sockets;
    for (std::size_t i = first; i < last; ++i) {
      sockets.push_back(server.connect());
      sockets.back().send_if_open(std::string_view(input).substr(0, cuts[i]));
    }
    std::this_thread::sleep_for(apart);
    for (std::size_t i = first; i < last; ++i) {
      // The first half may have been refused already.
      sockets[i - first].send_if_open(std::string_view(input).substr(cuts[i]));
    }
    for (std::size_t i = first; i < last; ++i) {
      const std::string difference = outcome_of(sockets[i - first], hostile);
      if (!difference.empty()) {
        FAIL_CHECK("'", shown(hostile.input), "' cut at ", cuts[i], ": ", difference);
        return;  // the other cuts would wait for their timeouts, too
      }
    }
  }
  CHECK_MESSAGE(server.connect().command({"PING"}).size() > 0, "the server lives");
}

}  // namespace kvs::test

// output.h - replies as people and programs read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/bytes.h"
#include "protocol/client/reply.h"

namespace kvs::cli {

enum class Format : std::uint8_t {
  automatic,  // human on a terminal, raw elsewhere
  human,      // as redis-cli shows it: quoted, numbered, with types
  raw,        // the bytes, one line per element
  json,       // one line of JSON
};
enum class Colour : std::uint8_t { automatic, always, never };

struct OutputOptions {
  Format format = Format::automatic;
  Colour colour = Colour::automatic;
};

// `options` with nothing automatic left, for what goes to stdout.
OutputOptions settled(const OutputOptions& options);

// Is the file a terminal that understands colours and moves of the cursor?
bool is_terminal(int descriptor);

// The reply with the newline at its end. An error reply is a value here, as inside an array.
std::string shown(const client::Reply& reply, const OutputOptions& options);

// Text that is meant for people as it is (INFO, CLIENT LIST): not quoted in human form.
std::string shown_text(std::string_view text);

Json to_json(const client::Reply& reply);

// `text` in the colour, if there are colours.
enum class Ink : std::uint8_t { error, number, nothing, heading };
std::string inked(std::string_view text, Ink ink, const OutputOptions& options);

}  // namespace kvs::cli

// arguments.h - what many handlers share: numbers and options of requests read as Redis reads them,
// and the error texts that go with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/command_table.h"
#include "daemon/commands/value_condition.h"
#include "daemon/durability_level.h"
#include "protocol/async/result.h"
#include "protocol/resp/reply_writer.h"
#include "storage/engine.h"

namespace kvs::daemon {

namespace texts {

inline constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";
inline constexpr std::string_view not_a_float = "ERR value is not a valid float";
inline constexpr std::string_view syntax_error = "ERR syntax error";
inline constexpr std::string_view no_such_key = "ERR no such key";
inline constexpr std::string_view disk_full =
    "MISCONF Errors writing to the log: the disk is full: only removals are written until there is "
    "room";
inline constexpr std::string_view value_too_long =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
inline constexpr std::string_view same_objects = "ERR source and destination objects are the same";
inline constexpr std::string_view sync_failed =
    "MISCONF The log could not be synced, what this depends on may be lost";
inline constexpr std::string_view database_out_of_range = "ERR DB index is out of range";

}  // namespace texts

// Answers a failed read. would_block is never seen by a client: the executor drops that reply.
void reply_error(resp::ReplyWriter& reply, const Error& error);

// "ERR wrong number of arguments for 'x' command": for rules that an arity cannot express.
void reply_wrong_arguments(resp::ReplyWriter& reply, std::string_view command);

// "ERR unknown subcommand or wrong number of arguments for 'x'. Try X HELP.": what Redis says of a
// subcommand's words where its arity is not exact.
void reply_wrong_subcommand(resp::ReplyWriter& reply, Args args);

// A client's word as an error shows it: up to its first zero byte, since Redis' texts come from
// printf.
std::string as_printed(std::string_view word);

// The lines of a HELP subcommand, between Redis' own first and last ones.
void reply_help(resp::ReplyWriter& reply, std::string_view command,
                std::span<const std::string_view> lines);

// Compares option words; `upper` is written in capitals.
bool is_word(std::string_view text, std::string_view upper) noexcept;

std::string lower_case(std::string_view text);

// A decimal integer in its one canonical form: no '+', no leading zeros, no spaces, no "-0".
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

// As parse_integer, but answers the error itself.
std::optional<std::int64_t> integer_argument(std::string_view text, resp::ReplyWriter& reply,
                                             std::string_view error = texts::not_an_integer);

// An integer within the range of a C int, with Redis' two error texts.
std::optional<int> int_argument(std::string_view text, resp::ReplyWriter& reply);

// What strtold reads, whole and without spaces before it; "inf" is taken, "nan" is not.
std::optional<long double> parse_float(std::string_view text);

// 17 digits behind the point, without the zeros at the end.
std::string format_float(long double value);

// Number of a database, for SELECT and COPY ... DB.
std::optional<Database> database_argument(std::string_view text, resp::ReplyWriter& reply);

enum class TimeUnit : std::uint8_t { seconds, milliseconds };
enum class TimeBase : std::uint8_t { now, epoch };

struct Expiry {
  std::string_view text;  // as the client wrote it
  TimeUnit unit = TimeUnit::seconds;
  TimeBase base = TimeBase::now;
};

// Turns `expiry` into a deadline, which may have passed already but is never 0. Answers "invalid
// expire time in 'command' command" and returns nullopt for zero, negative and overflowing times.
std::optional<UnixMs> deadline_argument(const Expiry& expiry, UnixMs now, std::string_view command,
                                        resp::ReplyWriter& reply);

// Reads words [first, ...) as options of SET, GETEX or MSETEX: at most one of EX PX EXAT PXAT and,
// per command, KEEPTTL or PERSIST; SET and MSETEX also NX or XX; SET also GET, and one of IFEQ IFNE
// IFDEQ IFDNE in the place of NX or XX, and DURABILITY (which Redis has not).
struct StringOptions {
  std::optional<Expiry> expiry;
  bool keep_ttl = false;
  bool persist = false;
  bool only_if_absent = false;
  bool only_if_present = false;
  bool get = false;
  Durability durability = Durability::unsaid;
  std::optional<ValueCondition> condition;

  bool looks_at_value() const noexcept { return get || condition.has_value(); }
};
enum class OptionsOf : std::uint8_t { set, getex, msetex };
// Answers "syntax error" itself.
std::optional<StringOptions> string_options(Args args, std::size_t first, OptionsOf command,
                                            resp::ReplyWriter& reply);

// Does this SET, whose words these are, have an option that needs the old value? Errs on the side
// of yes: a word may be another option's value.
bool set_looks_at_value(Args args) noexcept;

// Names may hold printable ASCII only, since CLIENT LIST shows them between spaces.
bool is_printable_name(std::string_view name) noexcept;

}  // namespace kvs::daemon

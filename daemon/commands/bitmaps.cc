// bitmaps.cc - strings as arrays of bits: SETBIT GETBIT BITCOUNT BITPOS BITOP BITFIELD.
//
// Bit 0 is the most significant bit of the first byte, as in Redis. What lies behind a value's end
// reads as zeros.
#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/commands/bit_field.h"
#include "daemon/context.h"
#include "daemon/notifications.h"
#include "daemon/settings.h"
#include "storage/limits.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

constexpr std::string_view bad_bit = "ERR bit is not an integer or out of range";
constexpr std::string_view bad_offset = "ERR bit offset is not an integer or out of range";

std::uint64_t value_bits_max(const Context& context) {
  const std::uint64_t bytes = std::min<std::uint64_t>(
      context.services.settings.proto_max_bulk_len.load(std::memory_order_relaxed),
      limits::value_bytes_max);
  return bytes * 8;
}

std::optional<std::uint64_t> offset_argument(const Context& context, std::string_view text,
                                             ReplyWriter& reply) {
  const auto offset = parse_integer(text);
  if (offset && *offset >= 0 && static_cast<std::uint64_t>(*offset) < value_bits_max(context)) {
    return static_cast<std::uint64_t>(*offset);
  }
  reply.error(bad_offset);
  return std::nullopt;
}

bool bit_at(std::string_view bytes, std::uint64_t offset) {
  const std::uint64_t byte = offset / 8;
  if (byte >= bytes.size()) return false;
  return (static_cast<unsigned char>(bytes[byte]) >> (7 - offset % 8) & 1) != 0;
}

std::int64_t count_bits(std::string_view bytes) {
  std::int64_t count = 0;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    count += std::popcount(word);
    bytes.remove_prefix(sizeof word);
  }
  for (const char byte : bytes) count += std::popcount(static_cast<unsigned char>(byte));
  return count;
}

// SETBIT key offset value: the bit that was there.
void setbit_command(Context& context, Args args, ReplyWriter& reply) {
  const auto offset = offset_argument(context, args[2], reply);
  if (!offset) return;
  if (args[3] != "0" && args[3] != "1") return reply.error(bad_bit);
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());

  const bool before = bit_at(value, *offset);
  const std::size_t byte = *offset / 8;
  // What changes nothing is no change: nothing is written, and nobody is told.
  if (byte < value.size() && before == (args[3] == "1")) return reply.integer(before ? 1 : 0);
  if (value.size() <= byte) value.resize(byte + 1, '\0');
  const auto mask = static_cast<unsigned char>(0x80U >> (*offset % 8));
  const auto old = static_cast<unsigned char>(value[byte]);
  value[byte] = static_cast<char>(args[3] == "1" ? old | mask : old & ~mask);
  context.put(args[1], value, *found ? (*found)->expire_at : never);
  context.notify(notify_string, "setbit", args[1]);
  reply.integer(before ? 1 : 0);
}

// GETBIT key offset: the bit.
void getbit_command(Context& context, Args args, ReplyWriter& reply) {
  const auto offset = offset_argument(context, args[2], reply);
  if (!offset) return;
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  reply.integer(bit_at(value, *offset) ? 1 : 0);
}

// Bits [first, last] of a value, in units of bits; empty when first > last.
struct BitRange {
  std::int64_t first = 0;
  std::int64_t last = -1;
  bool empty() const { return first > last; }
};

enum class Unit : std::uint8_t { bytes, bits };

std::optional<Unit> unit_argument(std::string_view word, ReplyWriter& reply) {
  if (is_word(word, "BYTE")) return Unit::bytes;
  if (is_word(word, "BIT")) return Unit::bits;
  reply.error(texts::syntax_error);
  return std::nullopt;
}

// start and end as clients give them (negative: from the end), cut to what is there.
BitRange range_of(std::int64_t start, std::int64_t end, Unit unit, std::size_t value_bytes) {
  const std::int64_t length = static_cast<std::int64_t>(value_bytes) * (unit == Unit::bits ? 8 : 1);
  const auto absolute = [length](std::int64_t position) {
    return std::max<std::int64_t>(position < 0 ? position + length : position, 0);
  };
  const std::int64_t first = absolute(start);
  const std::int64_t last = std::min(absolute(end), length - 1);
  if (first > last) return {};
  return unit == Unit::bits ? BitRange{first, last} : BitRange{first * 8, last * 8 + 7};
}

std::int64_t count_bits(std::string_view bytes, BitRange range) {
  if (range.empty()) return 0;
  std::int64_t count = 0;
  std::int64_t at = range.first;
  for (; at <= range.last && at % 8 != 0; ++at)
    count += bit_at(bytes, static_cast<std::uint64_t>(at)) ? 1 : 0;
  const std::int64_t whole_bytes = (range.last + 1 - at) / 8;
  if (whole_bytes > 0) {
    count += count_bits(
        bytes.substr(static_cast<std::size_t>(at / 8), static_cast<std::size_t>(whole_bytes)));
    at += whole_bytes * 8;
  }
  for (; at <= range.last; ++at) count += bit_at(bytes, static_cast<std::uint64_t>(at)) ? 1 : 0;
  return count;
}

// BITCOUNT key [start end [BYTE | BIT]]: how many bits are set.
void bitcount_command(Context& context, Args args, ReplyWriter& reply) {
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.integer(0);  // before the range is looked at, as in Redis
  std::int64_t start = 0;
  std::int64_t end = -1;
  Unit unit = Unit::bytes;
  if (args.size() == 4 || args.size() == 5) {
    const auto first = integer_argument(args[2], reply);
    if (!first) return;
    const auto last = integer_argument(args[3], reply);
    if (!last) return;
    start = *first;
    end = *last;
    if (start < 0 && end < 0 && start > end) return reply.integer(0);
    if (args.size() == 5) {
      const auto asked = unit_argument(args[4], reply);
      if (!asked) return;
      unit = *asked;
    }
  } else if (args.size() != 2) {
    return reply.error(texts::syntax_error);
  }
  reply.integer(count_bits(value, range_of(start, end, unit, value.size())));
}

// First position in `range` of a bit equal to `wanted`, or -1.
std::int64_t find_bit(std::string_view bytes, bool wanted, BitRange range) {
  const char skip = wanted ? '\0' : '\xff';
  for (std::int64_t at = range.first; at <= range.last;) {
    if (at % 8 == 0 && at + 7 <= range.last && bytes[static_cast<std::size_t>(at / 8)] == skip) {
      at += 8;
      continue;
    }
    if (bit_at(bytes, static_cast<std::uint64_t>(at)) == wanted) return at;
    ++at;
  }
  return -1;
}

// BITPOS key bit [start [end [BYTE | BIT]]]: position of the first bit that is so, or -1.
void bitpos_command(Context& context, Args args, ReplyWriter& reply) {
  const auto bit = integer_argument(args[2], reply);
  if (!bit) return;
  if (*bit != 0 && *bit != 1) return reply.error("ERR The bit argument must be 1 or 0.");
  std::string value;
  const auto found = context.get(args[1], value);
  if (!found) return reply_error(reply, found.error());
  if (!*found) return reply.integer(*bit == 1 ? -1 : 0);  // before the range, as in Redis
  if (args.size() > 6) return reply.error(texts::syntax_error);
  std::int64_t start = 0;
  std::int64_t end = -1;
  Unit unit = Unit::bytes;
  if (args.size() > 3) {
    const auto first = integer_argument(args[3], reply);
    if (!first) return;
    start = *first;
  }
  if (args.size() == 6) {
    const auto asked = unit_argument(args[5], reply);
    if (!asked) return;
    unit = *asked;
  }
  if (args.size() > 4) {
    const auto last = integer_argument(args[4], reply);
    if (!last) return;
    end = *last;
  }
  const BitRange range = range_of(start, end, unit, value.size());
  if (range.empty()) return reply.integer(-1);
  const std::int64_t position = find_bit(value, *bit == 1, range);
  // Asked for a 0 without an end, the zeros behind the value count.
  if (position < 0 && *bit == 0 && args.size() <= 4) return reply.integer(range.last + 1);
  reply.integer(position);
}

enum class Operation : std::uint8_t { bit_and, bit_or, bit_xor, bit_not };

std::optional<Operation> operation_argument(std::string_view word) {
  if (is_word(word, "AND")) return Operation::bit_and;
  if (is_word(word, "OR")) return Operation::bit_or;
  if (is_word(word, "XOR")) return Operation::bit_xor;
  if (is_word(word, "NOT")) return Operation::bit_not;
  return std::nullopt;
}

std::string combined(Operation operation, const std::vector<std::string>& values) {
  std::size_t length = 0;
  for (const std::string& value : values) length = std::max(length, value.size());
  std::string result = values.front();
  result.resize(length, '\0');
  if (operation == Operation::bit_not) {
    for (char& byte : result) byte = static_cast<char>(~byte);
    return result;
  }
  for (std::size_t i = 1; i < values.size(); ++i) {
    const std::string& value = values[i];
    for (std::size_t at = 0; at < length; ++at) {
      const char other = at < value.size() ? value[at] : '\0';
      if (operation == Operation::bit_and) {
        result[at] = static_cast<char>(result[at] & other);
      } else if (operation == Operation::bit_or) {
        result[at] = static_cast<char>(result[at] | other);
      } else {
        result[at] = static_cast<char>(result[at] ^ other);
      }
    }
  }
  return result;
}

// BITOP AND|OR|XOR|NOT destkey key [key ...]: stores the combination; its length.
void bitop_command(Context& context, Args args, ReplyWriter& reply) {
  const auto operation = operation_argument(args[1]);
  if (!operation) return reply.error(texts::syntax_error);
  if (*operation == Operation::bit_not && args.size() != 4) {
    return reply.error("ERR BITOP NOT must be called with a single source key.");
  }
  const auto target = context.find(args[2]);
  if (!target) return reply_error(reply, target.error());
  std::vector<std::string> values(args.size() - 3);
  for (std::size_t i = 3; i < args.size(); ++i) {
    const auto found = context.get(args[i], values[i - 3], Lookup::read);
    if (!found) return reply_error(reply, found.error());
  }
  const std::string result = combined(*operation, values);
  if (!result.empty()) {
    context.put(args[2], result, never);
    context.notify(notify_string, "set", args[2]);
  } else if (*target) {
    context.remove(args[2]);
    context.notify(notify_generic, "del", args[2]);
  }
  reply.integer(static_cast<std::int64_t>(result.size()));
}

// --- BITFIELD ---

constexpr std::string_view bad_type =
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 "
    "is.";

struct FieldStep {
  enum class Kind : std::uint8_t { get, set, increment };
  Kind kind = Kind::get;
  FieldType type;
  std::uint64_t offset_bits = 0;
  std::int64_t amount = 0;
  Overflow overflow = Overflow::wrap;
};

bool changes(const FieldStep& step) {
  return step.kind != FieldStep::Kind::get;
}

// "100" counts bits, "#3" fields of the type's width.
std::optional<std::uint64_t> field_offset_argument(const Context& context, std::string_view text,
                                                   FieldType type, ReplyWriter& reply) {
  const bool in_fields = text.starts_with('#');
  const auto number = parse_integer(in_fields ? text.substr(1) : text);
  std::int64_t offset = 0;
  const std::int64_t unit = in_fields ? type.bits : 1;
  if (!number || *number < 0 || __builtin_mul_overflow(*number, unit, &offset) ||
      static_cast<std::uint64_t>(offset) >= value_bits_max(context) ||
      static_cast<std::uint64_t>(offset) + type.bits > value_bits_max(context)) {
    reply.error(bad_offset);
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(offset);
}

enum class Mode : std::uint8_t { read_write, read_only };

std::optional<std::vector<FieldStep>> field_steps(const Context& context, Args args, Mode mode,
                                                  ReplyWriter& reply) {
  std::vector<FieldStep> steps;
  Overflow overflow = Overflow::wrap;
  for (std::size_t i = 2; i < args.size();) {
    const std::size_t left = args.size() - i - 1;
    FieldStep step;
    if (is_word(args[i], "GET") && left >= 2) {
      step.kind = FieldStep::Kind::get;
    } else if (is_word(args[i], "SET") && left >= 3) {
      step.kind = FieldStep::Kind::set;
    } else if (is_word(args[i], "INCRBY") && left >= 3) {
      step.kind = FieldStep::Kind::increment;
    } else if (is_word(args[i], "OVERFLOW") && left >= 1) {
      const auto asked = parse_overflow(args[i + 1]);
      if (!asked) return reply.error("ERR Invalid OVERFLOW type specified"), std::nullopt;
      overflow = *asked;
      i += 2;
      continue;
    } else {
      return reply.error(texts::syntax_error), std::nullopt;
    }
    const auto type = parse_field_type(args[i + 1]);
    if (!type) return reply.error(bad_type), std::nullopt;
    step.type = *type;
    const auto offset = field_offset_argument(context, args[i + 2], *type, reply);
    if (!offset) return std::nullopt;
    step.offset_bits = *offset;
    step.overflow = overflow;
    i += 3;
    if (step.kind != FieldStep::Kind::get) {
      const auto amount = integer_argument(args[i], reply);
      if (!amount) return std::nullopt;
      step.amount = *amount;
      ++i;
    }
    steps.push_back(step);
  }
  if (mode == Mode::read_only && std::any_of(steps.begin(), steps.end(), changes)) {
    return reply.error("ERR BITFIELD_RO only supports the GET subcommand"), std::nullopt;
  }
  return steps;
}

// Runs the steps over `value`; one answer each, nullopt where OVERFLOW FAIL forbade it. `changed`
// is set when a field has become another, or was written into a value that had to grow.
std::vector<std::optional<std::int64_t>> run_steps(const std::vector<FieldStep>& steps,
                                                   std::string& value, bool& changed) {
  std::size_t bytes_wanted = value.size();
  for (const FieldStep& step : steps) {
    if (changes(step)) {
      bytes_wanted =
          std::max<std::size_t>(bytes_wanted, (step.offset_bits + step.type.bits + 7) / 8);
    }
  }
  const bool grows = bytes_wanted > value.size();
  value.resize(bytes_wanted, '\0');
  std::vector<std::optional<std::int64_t>> answers;
  for (const FieldStep& step : steps) {
    const std::int64_t old = read_field(value, step.offset_bits, step.type);
    if (step.kind == FieldStep::Kind::get) {
      answers.emplace_back(old);
      continue;
    }
    const bool adds = step.kind == FieldStep::Kind::increment;
    const auto fitted =
        fit_field(step.type, adds ? old : step.amount, adds ? step.amount : 0, step.overflow);
    if (fitted) {
      write_field(value, step.offset_bits, step.type, *fitted);
      changed = changed || grows || *fitted != old;
    }
    if (!fitted) {
      answers.emplace_back(std::nullopt);
    } else {
      answers.emplace_back(adds ? *fitted : old);
    }
  }
  return answers;
}

void bitfield(Context& context, Args args, Mode mode, ReplyWriter& reply) {
  const auto steps = field_steps(context, args, mode, reply);
  if (!steps) return;
  const bool writing = std::any_of(steps->begin(), steps->end(), changes);
  std::string value;
  const auto found = context.get(args[1], value, writing ? Lookup::as_flagged : Lookup::read);
  if (!found) return reply_error(reply, found.error());
  const std::size_t bytes_before = value.size();
  bool changed = false;
  const auto answers = run_steps(*steps, value, changed);
  // The value has its new length even where no field was changed, as in Redis.
  if (changed || value.size() > bytes_before) {
    context.put(args[1], value, *found ? (*found)->expire_at : never);
  }
  if (changed) context.notify(notify_string, "setbit", args[1]);
  reply.array(answers.size());
  for (const auto& answer : answers) {
    if (answer) {
      reply.integer(*answer);
    } else {
      reply.null();
    }
  }
}

// BITFIELD key [GET type offset | [OVERFLOW ...] SET | INCRBY ...] ...: integers of any width.
void bitfield_command(Context& context, Args args, ReplyWriter& reply) {
  bitfield(context, args, Mode::read_write, reply);
}

void bitfield_ro_command(Context& context, Args args, ReplyWriter& reply) {
  bitfield(context, args, Mode::read_only, reply);
}

constexpr KeyRange one_key{1, 1, 1};
constexpr KeyRange from_second{2, -1, 1};
constexpr std::uint32_t write_flags = writes | reads_values | deny_oom;

constexpr std::array rows{
    Command{"bitcount",
            -2,
            reads,
            one_key,
            bitcount_command,
            {"Counts the bits that are set in a value.", "2.6.0", "bitmap", "O(N)",
             "key [start end [BYTE | BIT]]", "RO access"}},
    Command{"bitfield",
            -2,
            write_flags,
            one_key,
            bitfield_command,
            {"Reads and changes integers of any width in a value.", "3.2.0", "bitmap",
             "O(1) for each operation",
             "key [GET encoding offset] [OVERFLOW <WRAP | SAT | FAIL>] "
             "[SET encoding offset value] [INCRBY encoding offset increment]",
             "RW access update variable_flags"}},
    Command{"bitfield_ro",
            -2,
            reads | fast,
            one_key,
            bitfield_ro_command,
            {"Reads integers of any width in a value.", "6.0.0", "bitmap",
             "O(1) for each operation", "key [GET encoding offset]", "RO access"}},
    Command{"bitop",
            -4,
            write_flags,
            from_second,
            bitop_command,
            {"Stores the bitwise combination of values.", "2.6.0", "bitmap", "O(N)",
             "<AND | OR | XOR | NOT> destkey key [key ...]", "OW update;RO access"}},
    Command{"bitpos",
            -3,
            reads,
            one_key,
            bitpos_command,
            {"Finds the first bit that is set or clear.", "2.8.7", "bitmap", "O(N)",
             "key bit [start [end [BYTE | BIT]]]", "RO access"}},
    Command{"getbit",
            3,
            reads | fast,
            one_key,
            getbit_command,
            {"Returns a bit of a value.", "2.2.0", "bitmap", "O(1)", "key offset", "RO access"}},
    Command{"setbit",
            4,
            write_flags,
            one_key,
            setbit_command,
            {"Sets or clears a bit of a value and returns what it was.", "2.2.0", "bitmap", "O(1)",
             "key offset value", "RW access update"}},
};

}  // namespace

std::span<const Command> bitmap_commands() {
  return rows;
}

}  // namespace kvs::daemon

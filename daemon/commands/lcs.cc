// lcs.cc - LCS: the longest common subsequence of two values.
//
// The textbook table of lengths, of which all rows are kept unless the length alone is wanted. Its
// size is bounded as in Redis, by proto-max-bulk-len; and so is the time it takes. It runs on the
// pool.
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "daemon/command_table.h"
#include "daemon/commands/arguments.h"
#include "daemon/context.h"
#include "daemon/settings.h"

namespace kvs::daemon {

namespace {

using resp::ReplyWriter;

// A run of equal bytes in both values; ends included.
struct Match {
  std::size_t first_begin;
  std::size_t first_end;
  std::size_t second_begin;
  std::size_t second_end;

  std::size_t length() const noexcept { return first_end - first_begin + 1; }
};

// length(i, j) is that of the beginnings of i and j bytes.
class LengthTable {
 public:
  enum class Rows : std::uint8_t { all, last_two };

  LengthTable(std::string_view first, std::string_view second, Rows rows)
      : rows_(rows == Rows::all ? first.size() + 1 : 2),
        width_(second.size() + 1),
        lengths_(rows_ * width_) {
    for (std::size_t i = 1; i <= first.size(); ++i) {
      for (std::size_t j = 1; j <= second.size(); ++j) {
        cell(i, j) = first[i - 1] == second[j - 1] ? length(i - 1, j - 1) + 1
                                                   : std::max(length(i - 1, j), length(i, j - 1));
      }
    }
  }

  std::uint32_t length(std::size_t i, std::size_t j) const noexcept {
    return lengths_[(i % rows_) * width_ + j];
  }

 private:
  std::uint32_t& cell(std::size_t i, std::size_t j) noexcept {
    return lengths_[(i % rows_) * width_ + j];
  }

  const std::size_t rows_;
  const std::size_t width_;
  std::vector<std::uint32_t> lengths_;
};

struct Common {
  std::string subsequence;
  std::vector<Match> matches;  // from the last to the first, as Redis lists them
};

// Walks back from the end. Where both ways are equally good, it drops a byte of the second value.
Common trace(const LengthTable& table, std::string_view first, std::string_view second) {
  Common common;
  common.subsequence.resize(table.length(first.size(), second.size()));
  std::size_t missing = common.subsequence.size();
  bool in_match = false;
  for (std::size_t i = first.size(), j = second.size(); i > 0 && j > 0;) {
    if (first[i - 1] == second[j - 1]) {
      --i;
      --j;
      common.subsequence[--missing] = first[i];
      if (!in_match) common.matches.push_back({i, i, j, j});
      common.matches.back().first_begin = i;
      common.matches.back().second_begin = j;
      in_match = true;
    } else {
      --(table.length(i - 1, j) > table.length(i, j - 1) ? i : j);
      in_match = false;
    }
  }
  return common;
}

struct LcsOptions {
  bool length_only = false;
  bool indexes = false;
  bool with_lengths = false;
  std::int64_t length_min = 0;
};

std::optional<LcsOptions> lcs_options(Args args, ReplyWriter& reply) {
  LcsOptions options;
  for (std::size_t i = 3; i < args.size(); ++i) {
    if (is_word(args[i], "IDX")) {
      options.indexes = true;
    } else if (is_word(args[i], "LEN")) {
      options.length_only = true;
    } else if (is_word(args[i], "WITHMATCHLEN")) {
      options.with_lengths = true;
    } else if (is_word(args[i], "MINMATCHLEN") && i + 1 < args.size()) {
      const auto wanted = integer_argument(args[++i], reply);
      if (!wanted) return std::nullopt;
      options.length_min = *wanted;
    } else {
      reply.error(texts::syntax_error);
      return std::nullopt;
    }
  }
  if (options.length_only && options.indexes) {
    reply.error("ERR If you want both the length and indexes, please just use IDX.");
    return std::nullopt;
  }
  return options;
}

bool table_fits(const Context& context, std::size_t first_bytes, std::size_t second_bytes,
                ReplyWriter& reply) {
  constexpr std::size_t value_bytes_max = std::numeric_limits<std::uint32_t>::max() - 1;
  if (first_bytes >= value_bytes_max || second_bytes >= value_bytes_max) {
    reply.error("ERR String too long for LCS");
    return false;
  }
  const std::uint64_t bytes_max =
      context.services.settings.proto_max_bulk_len.load(std::memory_order_relaxed);
  // Both factors are below 2^32, so that the product holds.
  const std::uint64_t cells = std::uint64_t{first_bytes + 1} * (second_bytes + 1);
  if (cells <= bytes_max / sizeof(std::uint32_t)) return true;
  reply.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  return false;
}

void reply_indexes(const Common& common, const LcsOptions& options, ReplyWriter& reply) {
  std::vector<Match> shown;
  for (const Match& match : common.matches) {
    if (static_cast<std::int64_t>(match.length()) >= options.length_min) shown.push_back(match);
  }
  const auto range = [&reply](std::size_t begin, std::size_t end) {
    reply.array(2);
    reply.integer(static_cast<std::int64_t>(begin));
    reply.integer(static_cast<std::int64_t>(end));
  };
  reply.map(2);
  reply.bulk("matches");
  reply.array(shown.size());
  for (const Match& match : shown) {
    reply.array(options.with_lengths ? 3 : 2);
    range(match.first_begin, match.first_end);
    range(match.second_begin, match.second_end);
    if (options.with_lengths) reply.integer(static_cast<std::int64_t>(match.length()));
  }
  reply.bulk("len");
  reply.integer(static_cast<std::int64_t>(common.subsequence.size()));
}

// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min] [WITHMATCHLEN]: the subsequence, its length, or where
// it is in both values.
void lcs_command(Context& context, Args args, ReplyWriter& reply) {
  std::string first;
  std::string second;
  const auto first_found = context.get(args[1], first);
  if (!first_found) return reply_error(reply, first_found.error());
  const auto second_found = context.get(args[2], second);
  if (!second_found) return reply_error(reply, second_found.error());
  const auto options = lcs_options(args, reply);
  if (!options) return;
  if (!table_fits(context, first.size(), second.size(), reply)) return;

  const auto rows = options->length_only ? LengthTable::Rows::last_two : LengthTable::Rows::all;
  const LengthTable table(first, second, rows);
  if (options->length_only) return reply.integer(table.length(first.size(), second.size()));
  const Common common = trace(table, first, second);
  if (options->indexes) return reply_indexes(common, *options, reply);
  reply.bulk(common.subsequence);
}

constexpr KeyRange two_keys{1, 2, 1};

constexpr std::array rows{
    Command{"lcs",
            -3,
            reads | slow,
            two_keys,
            lcs_command,
            {"Finds the longest common subsequence of two values.", "7.0.0", "string",
             "O(N*M) with N and M the lengths of the values",
             "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]", "RO access"}},
};

}  // namespace

std::span<const Command> subsequence_commands() {
  return rows;
}

}  // namespace kvs::daemon

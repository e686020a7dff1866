#include "daemon/commands/arguments.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <climits>

namespace kvs::daemon {

namespace {

// Longer texts are no numbers to Redis either.
constexpr std::size_t float_chars_max = 5 * 1024;

constexpr std::int64_t integer_max = std::numeric_limits<std::int64_t>::max();

}  // namespace

void reply_error(resp::ReplyWriter& reply, const Error& error) {
  switch (error.code()) {
    case Code::corrupt:
      return reply.error("ERR corrupt record: " + error.message());
    case Code::no_space:
    case Code::read_only:
      return reply.error("MISCONF Errors writing to the log: " + error.message());
    default:
      return reply.error("ERR " + error.message());
  }
}

void reply_wrong_arguments(resp::ReplyWriter& reply, std::string_view command) {
  std::string text = "ERR wrong number of arguments for '";
  reply.error(text.append(command).append("' command"));
}

void reply_wrong_subcommand(resp::ReplyWriter& reply, Args args) {
  constexpr std::size_t shown_bytes_max = 128;
  std::string text = "ERR unknown subcommand or wrong number of arguments for '";
  text.append(as_printed(args[1].substr(0, shown_bytes_max))).append("'. Try ");
  for (const unsigned char letter : args[0]) text += static_cast<char>(std::toupper(letter));
  reply.error(text.append(" HELP."));
}

std::string as_printed(std::string_view word) {
  return std::string(word.substr(0, word.find('\0')));
}

void reply_help(resp::ReplyWriter& reply, std::string_view command,
                std::span<const std::string_view> lines) {
  reply.array(lines.size() + 3);
  std::string title(command);
  reply.simple(title.append(" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
  for (const std::string_view line : lines) reply.simple(line);
  reply.simple("HELP");
  reply.simple("    Prints this help.");
}

bool is_word(std::string_view text, std::string_view upper) noexcept {
  return text.size() == upper.size() &&
         std::equal(text.begin(), text.end(), upper.begin(), [](unsigned char a, char b) {
           return static_cast<char>(std::toupper(a)) == b;
         });
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return lower;
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  if (text == "0") return 0;
  const std::size_t first_digit = text.starts_with('-') ? 1 : 0;
  if (text.size() <= first_digit) return std::nullopt;
  if (text[first_digit] < '1' || text[first_digit] > '9') return std::nullopt;
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> integer_argument(std::string_view text, resp::ReplyWriter& reply,
                                             std::string_view error) {
  const auto value = parse_integer(text);
  if (!value) reply.error(error);
  return value;
}

std::optional<int> int_argument(std::string_view text, resp::ReplyWriter& reply) {
  const auto value = integer_argument(text, reply);
  if (!value) return std::nullopt;
  if (*value < INT_MIN || *value > INT_MAX) {
    reply.error("ERR value is out of range, value must between -2147483648 and 2147483647");
    return std::nullopt;
  }
  return static_cast<int>(*value);
}

std::optional<long double> parse_float(std::string_view text) {
  if (text.empty() || text.size() >= float_chars_max) return std::nullopt;
  if (std::isspace(static_cast<unsigned char>(text.front())) != 0) return std::nullopt;
  const std::string terminated(text);
  char* end = nullptr;
  errno = 0;
  const long double value = std::strtold(terminated.c_str(), &end);
  if (end != terminated.c_str() + terminated.size()) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  if (std::isnan(value)) return std::nullopt;
  return value;
}

std::string format_float(long double value) {
  std::array<char, float_chars_max> buffer;
  const int chars = std::snprintf(buffer.data(), buffer.size(), "%.17Lf", value);
  std::string text(buffer.data(), static_cast<std::size_t>(chars));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  if (text == "-0") text = "0";
  return text;
}

std::optional<Database> database_argument(std::string_view text, resp::ReplyWriter& reply) {
  const auto number = int_argument(text, reply);
  if (!number) return std::nullopt;
  if (*number < 0 || *number >= static_cast<int>(databases_count)) {
    reply.error(texts::database_out_of_range);
    return std::nullopt;
  }
  return static_cast<Database>(*number);
}

std::optional<UnixMs> deadline_argument(const Expiry& expiry, UnixMs now, std::string_view command,
                                        resp::ReplyWriter& reply) {
  const auto time = integer_argument(expiry.text, reply);
  if (!time) return std::nullopt;
  const std::int64_t unit = expiry.unit == TimeUnit::seconds ? 1000 : 1;
  const std::int64_t base = expiry.base == TimeBase::now ? now : 0;
  if (*time <= 0 || *time > (integer_max - base) / unit) {
    std::string text = "ERR invalid expire time in '";
    reply.error(text.append(command).append("' command"));
    return std::nullopt;
  }
  return *time * unit + base;
}

std::optional<StringOptions> string_options(Args args, std::size_t first, OptionsOf command,
                                            resp::ReplyWriter& reply) {
  StringOptions options;
  // The last EX, PX ... wins when one and the same is given twice; two different ones do not mix.
  struct Form {
    std::string_view word;
    TimeUnit unit;
    TimeBase base;
  };
  constexpr std::array<Form, 4> forms = {{{"EX", TimeUnit::seconds, TimeBase::now},
                                          {"PX", TimeUnit::milliseconds, TimeBase::now},
                                          {"EXAT", TimeUnit::seconds, TimeBase::epoch},
                                          {"PXAT", TimeUnit::milliseconds, TimeBase::epoch}}};
  const Form* used_form = nullptr;

  for (std::size_t i = first; i < args.size(); ++i) {
    const std::string_view word = args[i];
    const bool of_set = command == OptionsOf::set;
    const bool of_getex = command == OptionsOf::getex;
    const auto condition = of_set ? condition_kind(word) : std::nullopt;
    const auto form = std::find_if(forms.begin(), forms.end(),
                                   [word](const Form& f) { return is_word(word, f.word); });
    if (!of_getex && is_word(word, "NX") && !options.only_if_present && !options.condition) {
      options.only_if_absent = true;
    } else if (!of_getex && is_word(word, "XX") && !options.only_if_absent && !options.condition) {
      options.only_if_present = true;
    } else if (condition && !options.only_if_absent && !options.only_if_present &&
               !options.condition && i + 1 < args.size()) {
      options.condition = ValueCondition{*condition, args[++i]};
    } else if (of_set && is_word(word, "GET")) {
      options.get = true;
    } else if (of_set && is_word(word, "DURABILITY") && i + 1 < args.size() &&
               options.durability == Durability::unsaid && parse_durability(args[i + 1])) {
      options.durability = *parse_durability(args[++i]);
    } else if (!of_getex && is_word(word, "KEEPTTL") && used_form == nullptr) {
      options.keep_ttl = true;
    } else if (of_getex && is_word(word, "PERSIST") && used_form == nullptr) {
      options.persist = true;
    } else if (form != forms.end() && (used_form == nullptr || used_form == &*form) &&
               !options.keep_ttl && !options.persist && i + 1 < args.size()) {
      used_form = &*form;
      options.expiry = Expiry{args[++i], form->unit, form->base};
    } else {
      reply.error(texts::syntax_error);
      return std::nullopt;
    }
  }
  return options;
}

bool set_looks_at_value(Args args) noexcept {
  return std::any_of(args.begin() + std::min<std::ptrdiff_t>(3, std::ssize(args)), args.end(),
                     [](std::string_view word) {
                       return is_word(word, "GET") || condition_kind(word).has_value();
                     });
}

bool is_printable_name(std::string_view name) noexcept {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace kvs::daemon

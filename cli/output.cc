#include "cli/output.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace kvs::cli {
namespace {

using client::Reply;

std::string human(const Reply& reply, const std::string& indent, const OutputOptions& options) {
  switch (reply.kind) {
    case Reply::Kind::nil:
      return inked("(nil)", Ink::nothing, options) + "\n";
    case Reply::Kind::status:
      return reply.text + "\n";
    case Reply::Kind::string:
      return in_quotes(reply.text) + "\n";
    case Reply::Kind::integer:
      return inked("(integer) " + std::to_string(reply.integer), Ink::number, options) + "\n";
    case Reply::Kind::error:
      return inked("(error) " + reply.text, Ink::error, options) + "\n";
    case Reply::Kind::array:
      break;
  }
  if (reply.elements.empty()) return inked("(empty array)", Ink::nothing, options) + "\n";
  const std::size_t width = std::to_string(reply.elements.size()).size();
  std::string text;
  for (std::size_t i = 0; i < reply.elements.size(); ++i) {
    if (i > 0) text += indent;
    const std::string number = std::to_string(i + 1);
    text += std::string(width - number.size(), ' ') + number + ") ";
    text += human(reply.elements[i], indent + std::string(width + 2, ' '), options);
  }
  return text;
}

std::string raw(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::nil:
      return "\n";
    case Reply::Kind::integer:
      return std::to_string(reply.integer) + "\n";
    case Reply::Kind::array:
      break;
    default:
      return reply.text + "\n";
  }
  std::string text;
  for (const Reply& element : reply.elements) text += raw(element);
  return text;
}

}  // namespace

OutputOptions settled(const OutputOptions& options) {
  OutputOptions result = options;
  const bool terminal = is_terminal(STDOUT_FILENO);
  if (result.format == Format::automatic) {
    result.format = ::isatty(STDOUT_FILENO) != 0 ? Format::human : Format::raw;
  }
  if (result.colour == Colour::automatic) {
    // https://no-color.org
    const char* const forbidden = std::getenv("NO_COLOR");
    const bool wanted = terminal && (forbidden == nullptr || *forbidden == '\0');
    result.colour = wanted ? Colour::always : Colour::never;
  }
  return result;
}

bool is_terminal(int descriptor) {
  if (::isatty(descriptor) == 0) return false;
  const char* const kind = std::getenv("TERM");
  return kind != nullptr && *kind != '\0' && std::string_view(kind) != "dumb";
}

std::string shown(const Reply& reply, const OutputOptions& options) {
  switch (options.format) {
    case Format::json:
      return to_line(to_json(reply)) + "\n";
    case Format::human:
      return human(reply, "", options);
    default:
      return raw(reply);
  }
}

std::string shown_text(std::string_view text) {
  std::string result(text);
  std::erase(result, '\r');
  if (!result.ends_with('\n')) result += '\n';
  return result;
}

Json to_json(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::nil:
      return nullptr;
    case Reply::Kind::integer:
      return reply.integer;
    case Reply::Kind::status:
    case Reply::Kind::string:
      return to_json(std::string_view(reply.text));
    case Reply::Kind::error:
      return Json{{"error", to_json(std::string_view(reply.text))}};
    case Reply::Kind::array:
      break;
  }
  Json array = Json::array();
  for (const Reply& element : reply.elements) array.push_back(to_json(element));
  return array;
}

std::string inked(std::string_view text, Ink ink, const OutputOptions& options) {
  if (options.colour != Colour::always) return std::string(text);
  const char* const code = ink == Ink::error     ? "\x1b[31m"
                           : ink == Ink::number  ? "\x1b[36m"
                           : ink == Ink::nothing ? "\x1b[2m"
                                                 : "\x1b[1m";
  return code + std::string(text) + "\x1b[0m";
}

}  // namespace kvs::cli

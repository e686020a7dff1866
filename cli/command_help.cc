#include "cli/command_help.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "cli/words.h"

namespace kvs::cli {
namespace {

using client::Reply;

// Of a map as RESP2 has it: name, value, name, value ...; null: there is none.
const Reply* field(const Reply& map, std::string_view name) {
  for (std::size_t i = 0; i + 1 < map.elements.size(); i += 2) {
    if (map.elements[i].text == name) return &map.elements[i + 1];
  }
  return nullptr;
}

std::string text_field(const Reply& map, std::string_view name) {
  const Reply* const found = field(map, name);
  return found == nullptr ? std::string() : found->text;
}

bool has_flag(const Reply& argument, std::string_view flag) {
  const Reply* const flags = field(argument, "flags");
  if (flags == nullptr) return false;
  return std::any_of(flags->elements.begin(), flags->elements.end(),
                     [flag](const Reply& each) { return each.text == flag; });
}

std::string syntax(const Reply& argument);

std::string joined(const Reply& arguments, std::string_view between) {
  std::string text;
  for (const Reply& each : arguments.elements) {
    if (!text.empty()) text += between;
    text += syntax(each);
  }
  return text;
}

// Without the brackets of what is optional.
std::string bare_syntax(const Reply& argument) {
  const std::string type = text_field(argument, "type");
  const std::string token = text_field(argument, "token");
  if (type == "pure-token") return token;
  std::string text;
  const Reply* const parts = field(argument, "arguments");
  if (parts != nullptr && (type == "oneof" || type == "block")) {
    text = joined(*parts, type == "oneof" ? " | " : " ");
    if (type == "oneof" && !has_flag(argument, "optional")) text = "<" + text + ">";
  } else {
    text = text_field(argument, "display_text");
    if (text.empty()) text = text_field(argument, "name");
  }
  if (!token.empty()) text = token + (text.empty() ? "" : " ") + text;
  if (has_flag(argument, "multiple")) text += " [" + text + " ...]";
  return text;
}

std::string syntax(const Reply& argument) {
  const std::string text = bare_syntax(argument);
  return has_flag(argument, "optional") ? "[" + text + "]" : text;
}

void collect_tokens(const Reply& arguments, std::vector<std::string>& tokens) {
  for (const Reply& argument : arguments.elements) {
    if (std::string token = text_field(argument, "token"); !token.empty()) {
      tokens.push_back(std::move(token));
    }
    if (const Reply* const parts = field(argument, "arguments")) collect_tokens(*parts, tokens);
  }
}

bool stands_for_one_word(const Reply& argument) {
  return !has_flag(argument, "optional") && !has_flag(argument, "multiple") &&
         text_field(argument, "token").empty() && text_field(argument, "type") != "block";
}

std::string lower(std::string text) {
  for (char& byte : text) {
    byte = static_cast<char>(std::tolower(static_cast<unsigned char>(byte)));
  }
  return text;
}

bool is_lower_case(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char byte) { return std::islower(byte) != 0; });
}

std::size_t words_in(std::string_view name) {
  return static_cast<std::size_t>(std::count(name.begin(), name.end(), ' ')) + 1;
}

}  // namespace

CommandHelps::CommandHelps(const Reply& docs) {
  for (std::size_t i = 0; i + 1 < docs.elements.size(); i += 2) {
    add(docs.elements[i], docs.elements[i + 1]);
  }
}

void CommandHelps::add(const Reply& name, const Reply& fields) {
  CommandHelp help;
  help.name = upper(name.text);
  std::replace(help.name.begin(), help.name.end(), '|', ' ');
  if (help.name.empty()) return;
  help.summary = text_field(fields, "summary");
  help.since = text_field(fields, "since");
  help.group = text_field(fields, "group");
  help.complexity = text_field(fields, "complexity");
  if (const Reply* const arguments = field(fields, "arguments")) {
    for (const Reply& argument : arguments->elements) {
      using Kind = CommandHelp::Argument::Kind;
      help.arguments.push_back(
          {syntax(argument), stands_for_one_word(argument) ? Kind::one_word : Kind::open_end});
    }
    collect_tokens(*arguments, help.tokens);
  }
  std::string key = help.name;
  helps_.insert_or_assign(std::move(key), std::move(help));
  if (const Reply* const subcommands = field(fields, "subcommands")) {
    for (std::size_t i = 0; i + 1 < subcommands->elements.size(); i += 2) {
      add(subcommands->elements[i], subcommands->elements[i + 1]);
    }
  }
}

const CommandHelp* CommandHelps::find(const std::vector<std::string>& words) const {
  if (words.empty()) return nullptr;
  const std::string first = upper(words[0]);
  if (words.size() > 1) {
    const auto both = helps_.find(first + " " + upper(words[1]));
    if (both != helps_.end()) return &both->second;
  }
  const auto one = helps_.find(first);
  return one == helps_.end() ? nullptr : &one->second;
}

std::vector<std::string> CommandHelps::completions(const std::vector<std::string>& typed) const {
  std::vector<std::string> found;
  if (typed.empty()) return found;
  const std::string begun = upper(typed.back());
  if (typed.size() <= 2) {
    const std::string before = typed.size() == 2 ? upper(typed[0]) + " " : "";
    for (auto at = helps_.lower_bound(before + begun);
         at != helps_.end() && at->first.starts_with(before + begun); ++at) {
      std::string rest = at->first.substr(before.size());
      if (rest.find(' ') == std::string::npos) found.push_back(std::move(rest));
    }
  }
  if (found.empty() && typed.size() > 1 && !begun.empty()) {
    const CommandHelp* const help = find({typed.begin(), typed.end() - 1});
    if (help != nullptr) {
      for (const std::string& token : help->tokens) {
        if (upper(token).starts_with(begun)) found.push_back(token);
      }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  }
  if (is_lower_case(typed.back())) {
    for (std::string& each : found) each = lower(std::move(each));
  }
  return found;
}

std::string CommandHelps::hint(const std::vector<std::string>& typed) const {
  if (typed.size() < 2) return {};
  const std::vector<std::string> complete(typed.begin(), typed.end() - 1);
  const CommandHelp* const help = find(complete);
  if (help == nullptr) return {};
  std::size_t given = complete.size() - std::min(complete.size(), words_in(help->name));
  std::string text;
  for (const CommandHelp::Argument& argument : help->arguments) {
    if (given > 0 && argument.kind == CommandHelp::Argument::Kind::one_word) {
      --given;
      continue;
    }
    given = 0;
    if (!text.empty()) text += ' ';
    text += argument.text;
  }
  return text;
}

std::string CommandHelps::text(const CommandHelp& help) {
  std::string result = help.name;
  for (const CommandHelp::Argument& argument : help.arguments) result += " " + argument.text;
  result += "\n  " + help.summary + "\n";
  if (!help.group.empty()) result += "  group: " + help.group + "\n";
  if (!help.since.empty()) result += "  since: " + help.since + "\n";
  if (!help.complexity.empty()) result += "  complexity: " + help.complexity + "\n";
  return result;
}

std::string CommandHelps::names() const {
  std::string text;
  std::size_t column = 0;
  for (const auto& [name, help] : helps_) {
    if (name.find(' ') != std::string::npos) continue;
    if (column + name.size() + 1 > 78) {
      text += '\n';
      column = 0;
    }
    text += (column > 0 ? " " : "") + name;
    column += name.size() + 1;
  }
  return text + "\n";
}

}  // namespace kvs::cli

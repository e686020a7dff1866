#include "cli/record_file.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "cli/bytes.h"
#include "protocol/client/request.h"
#include "protocol/resp/request_parser.h"

namespace kvs::cli {
namespace {

FileItem bad(std::uint64_t line, std::string problem) {
  return {.kind = FileItem::Kind::bad, .line = line, .problem = std::move(problem)};
}

FileItem broken(std::uint64_t line, std::string problem) {
  return {.kind = FileItem::Kind::broken, .line = line, .problem = std::move(problem)};
}

FileItem set_command(std::uint64_t line, Record record) {
  FileItem item{.line = line};
  item.words = {"SET", std::move(record.key), std::move(record.value)};
  if (record.expires_at_ms) {
    item.words.insert(item.words.end(), {"PXAT", std::to_string(*record.expires_at_ms)});
  }
  return item;
}

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// --- JSON Lines
// -----------------------------------------------------------------------------------

FileItem item_of_json(std::string_view text, std::uint64_t line) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return bad(line, "not JSON");
  if (!json.is_object()) return bad(line, "not a JSON object");
  Record record;
  std::size_t known = 0;
  for (const char* const name : {"key", "value"}) {
    if (!json.contains(name)) return bad(line, std::string("no \"") + name + "\"");
    std::optional<std::string> bytes = from_json(json.at(name));
    if (!bytes) {
      return bad(line, std::string("\"") + name + R"(" is neither a string nor {"base64": ...})");
    }
    (known++ == 0 ? record.key : record.value) = std::move(*bytes);
  }
  if (json.contains("expires_at_ms")) {
    ++known;
    const Json& deadline = json.at("expires_at_ms");
    if (!deadline.is_null()) {
      if (!deadline.is_number_integer() || deadline.get<std::int64_t>() <= 0) {
        return bad(line, "\"expires_at_ms\" is not a time in milliseconds");
      }
      record.expires_at_ms = deadline.get<std::int64_t>();
    }
  }
  // A misspelt "expires_at_ms" must not make a key live for ever.
  if (json.size() != known) return bad(line, "a field that is not key, value or expires_at_ms");
  return set_command(line, std::move(record));
}

class JsonLinesReader final : public RecordReader {
  std::optional<FileItem> parse(std::string_view rest) override {
    for (;;) {
      const std::size_t end = rest.find('\n', scanned_);
      const bool last = end == std::string_view::npos;
      scanned_ = last ? rest.size() : 0;
      if (last && (!ended() || rest.empty())) return std::nullopt;
      const std::size_t size = last ? rest.size() : end;
      const std::string_view text = without_return(rest.substr(0, size));
      consume(last ? size : size + 1);
      ++line_;
      if (text.find_first_not_of(" \t") != std::string_view::npos) {
        scanned_ = 0;
        return item_of_json(text, line_);
      }
      rest.remove_prefix(last ? size : size + 1);
      scanned_ = 0;
    }
  }

  std::uint64_t line_ = 0;
  std::size_t scanned_ = 0;  // bytes of the rest without the end of a line
};

// --- CSV
// --------------------------------------------------------------------------------------------

constexpr std::array<std::string_view, 4> csv_columns{"key", "value", "expires_at_ms", "encoding"};

class CsvReader final : public RecordReader {
  enum class State : std::uint8_t { field_start, plain, quoted, quote_in_quoted };

  std::optional<FileItem> parse(std::string_view rest) override {
    for (;;) {
      const std::optional<std::size_t> end = find_end(rest);
      if (!end) return std::nullopt;
      const std::uint64_t line = line_ + 1;
      const std::string_view text = rest.substr(0, *end);
      const bool unterminated = state_ == State::quoted;
      const std::size_t size = *end + (*end < rest.size() ? 1 : 0);
      line_ += lines_in_record_ + 1;
      consume(size);
      rest.remove_prefix(size);
      scanned_ = 0;
      lines_in_record_ = 0;
      state_ = State::field_start;
      if (unterminated) return broken(line, "a quoted field without an end");
      if (without_return(text).empty()) continue;
      std::optional<std::vector<std::string>> fields = split(without_return(text));
      if (!fields && header_.empty()) return broken(line, "not a header of CSV");
      if (!fields) return bad(line, "a quote in the middle of a field");
      if (!header_.empty()) return item_of(line, std::move(*fields));
      if (std::string problem = take_header(*fields); !problem.empty()) {
        return broken(line, std::move(problem));
      }
    }
  }

  // Where the record ends, quoted line ends not counted; nullopt: not here yet.
  std::optional<std::size_t> find_end(std::string_view rest) {
    for (; scanned_ < rest.size(); ++scanned_) {
      const char byte = rest[scanned_];
      if (state_ == State::quoted) {
        if (byte == '"') state_ = State::quote_in_quoted;
        if (byte == '\n') ++lines_in_record_;
      } else if (byte == '\n') {
        return scanned_;
      } else if (byte == '"') {
        if (state_ != State::plain) state_ = State::quoted;
      } else {
        state_ = byte == ',' ? State::field_start : State::plain;
      }
    }
    if (!ended() || rest.empty()) return std::nullopt;
    return rest.size();
  }

  static std::optional<std::vector<std::string>> split(std::string_view text) {
    std::vector<std::string> fields(1);
    State state = State::field_start;
    for (const char byte : text) {
      if (state == State::quoted) {
        if (byte == '"') {
          state = State::quote_in_quoted;
        } else {
          fields.back() += byte;
        }
      } else if (byte == ',') {
        fields.emplace_back();
        state = State::field_start;
      } else if (byte == '"') {
        if (state == State::plain) return std::nullopt;
        if (state == State::quote_in_quoted) fields.back() += byte;
        state = State::quoted;
      } else if (state == State::quote_in_quoted) {
        return std::nullopt;
      } else {
        fields.back() += byte;
        state = State::plain;
      }
    }
    return fields;
  }

  std::string take_header(const std::vector<std::string>& names) {
    header_ = names;
    // Spreadsheets begin their UTF-8 with a byte order mark.
    if (header_[0].starts_with("\xef\xbb\xbf")) header_[0].erase(0, 3);
    std::array<std::size_t, csv_columns.size()> seen{};
    for (const std::string& name : header_) {
      std::size_t column = 0;
      while (column < csv_columns.size() && csv_columns[column] != name) ++column;
      if (column == csv_columns.size())
        return "the header has the unknown column " + in_quotes(name);
      if (++seen[column] > 1) return "the header has the column " + name + " twice";
    }
    if (seen[0] == 0 || seen[1] == 0) return "the header needs the columns key and value";
    return {};
  }

  FileItem item_of(std::uint64_t line, std::vector<std::string> fields) {
    if (fields.size() != header_.size()) {
      return bad(line, std::to_string(fields.size()) + " fields where the header has " +
                           std::to_string(header_.size()));
    }
    Record record;
    std::string encoding;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      std::string& field = fields[i];
      if (header_[i] == "key") {
        record.key = std::move(field);
      } else if (header_[i] == "value") {
        record.value = std::move(field);
      } else if (header_[i] == "encoding") {
        encoding = std::move(field);
      } else if (!field.empty()) {
        std::int64_t deadline = 0;
        const char* const end = field.data() + field.size();
        const auto [stop, failure] = std::from_chars(field.data(), end, deadline);
        if (failure != std::errc() || stop != end || deadline <= 0) {
          return bad(line, "expires_at_ms is not a time in milliseconds");
        }
        record.expires_at_ms = deadline;
      }
    }
    if (!encoding.empty() && encoding != "base64") {
      return bad(line, "the encoding " + in_quotes(encoding) + " is unknown");
    }
    if (encoding == "base64") {
      for (std::string* const text : {&record.key, &record.value}) {
        std::optional<std::string> bytes = from_base64(*text);
        if (!bytes) return bad(line, "not base64");
        *text = std::move(*bytes);
      }
    }
    return set_command(line, std::move(record));
  }

  std::vector<std::string> header_;
  std::uint64_t line_ = 0;
  std::uint64_t lines_in_record_ = 0;
  std::size_t scanned_ = 0;
  State state_ = State::field_start;
};

void append_csv_field(std::string& output, std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    output += field;
    return;
  }
  output += '"';
  for (const char byte : field) {
    if (byte == '"') output += '"';
    output += byte;
  }
  output += '"';
}

void append_csv(std::string& output, const Record& record) {
  const bool text = is_utf8(record.key) && is_utf8(record.value);
  append_csv_field(output, text ? record.key : to_base64(record.key));
  output += ',';
  append_csv_field(output, text ? record.value : to_base64(record.value));
  output += ',';
  if (record.expires_at_ms) output += std::to_string(*record.expires_at_ms);
  output += text ? ",\r\n" : ",base64\r\n";
}

// --- RESP
// -------------------------------------------------------------------------------------------

class RespReader final : public RecordReader {
  std::optional<FileItem> parse(std::string_view rest) override {
    using Status = resp::RequestParser::Status;
    for (;;) {
      if (rest.empty()) return std::nullopt;
      const resp::RequestParser::Outcome outcome = parser_.parse(rest);
      switch (outcome.status) {
        case Status::empty:
          consume(outcome.consumed);
          rest.remove_prefix(outcome.consumed);
          continue;
        case Status::incomplete:
          if (ended()) return broken(number_ + 1, "the file ends in the middle of a command");
          return std::nullopt;
        case Status::error:
          return broken(number_ + 1, parser_.error());
        case Status::complete:
          break;
      }
      FileItem item{.line = ++number_};
      for (const std::string_view word : parser_.args()) item.words.emplace_back(word);
      consume(outcome.consumed);
      return item;
    }
  }

  resp::RequestParser parser_;
  std::uint64_t number_ = 0;
};

void append_resp(std::string& output, const Record& record) {
  if (!record.expires_at_ms) {
    return client::append_request(output, {"SET", record.key, record.value});
  }
  const client::NumberWord deadline(*record.expires_at_ms);
  client::append_request(output, {"SET", record.key, record.value, "PXAT", deadline.view()});
}

}  // namespace

FileFormat format_of_name(std::string_view file_name) {
  if (file_name.ends_with(".csv")) return FileFormat::csv;
  if (file_name.ends_with(".resp")) return FileFormat::resp;
  return FileFormat::json_lines;
}

std::string_view file_header(FileFormat format) {
  return format == FileFormat::csv ? "key,value,expires_at_ms,encoding\r\n" : "";
}

void append_record(std::string& output, const Record& record, FileFormat format) {
  if (format == FileFormat::csv) return append_csv(output, record);
  if (format == FileFormat::resp) return append_resp(output, record);
  Json json;
  json["key"] = to_json(std::string_view(record.key));
  json["value"] = to_json(std::string_view(record.value));
  if (record.expires_at_ms) json["expires_at_ms"] = *record.expires_at_ms;
  output += to_line(json);
  output += '\n';
}

std::string& RecordReader::input() {
  input_.erase(0, std::exchange(begin_, 0));
  return input_;
}

std::optional<FileItem> RecordReader::next() {
  if (broken_) return std::nullopt;
  const std::string_view rest = std::string_view(input_).substr(begin_);
  std::optional<FileItem> item = parse(rest);
  if (!item && rest.size() > record_bytes_max && input_.size() - begin_ > record_bytes_max) {
    item = broken(0, "a record of more than " + std::to_string(record_bytes_max) + " bytes");
  }
  broken_ = item && item->kind == FileItem::Kind::broken;
  return item;
}

std::unique_ptr<RecordReader> make_reader(FileFormat format) {
  if (format == FileFormat::csv) return std::make_unique<CsvReader>();
  if (format == FileFormat::resp) return std::make_unique<RespReader>();
  return std::make_unique<JsonLinesReader>();
}

std::string_view position_name(FileFormat format) {
  return format == FileFormat::resp ? "command" : "line";
}

}  // namespace kvs::cli

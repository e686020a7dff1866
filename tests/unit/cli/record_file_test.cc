// record_file_test.cc - the three formats: whatever is written is read again, however the bytes are
// cut, and what is wrong is reported with its place.
#include "cli/record_file.h"

#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seed.h"

namespace kvs::cli {
namespace {

using Kind = FileItem::Kind;
constexpr FileFormat formats[] = {FileFormat::json_lines, FileFormat::csv, FileFormat::resp};

std::vector<FileItem> read_all(std::string_view bytes, FileFormat format, std::size_t piece) {
  const auto reader = make_reader(format);
  std::vector<FileItem> items;
  for (std::size_t at = 0;; at += piece) {
    if (at < bytes.size()) {
      reader->input().append(bytes.substr(at, piece));
    } else {
      reader->end();
    }
    while (std::optional<FileItem> item = reader->next()) items.push_back(std::move(*item));
    if (at >= bytes.size()) return items;
  }
}

// "line: problem" or "line: WORD WORD ..." of each.
std::vector<std::string> told(std::string_view bytes, FileFormat format, std::size_t piece = 7) {
  std::vector<std::string> lines;
  for (const FileItem& item : read_all(bytes, format, piece)) {
    std::string text = std::to_string(item.line) + ":";
    if (item.kind == Kind::bad) text += " bad";
    if (item.kind == Kind::broken) text += " broken";
    for (const std::string& word : item.words) text += " " + word;
    lines.push_back(text);
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("any record comes back from every format, however the bytes are cut") {
  std::mt19937_64 random(test::test_seed("record_file_test"));
  static constexpr std::string_view oddities = "\",\r\n\\\0 {}'\xff\xc3\xa9*$";
  for (const FileFormat format : formats) {
    std::vector<Record> records;
    std::string bytes(file_header(format));
    for (int i = 0; i < 200; ++i) {
      Record record;
      for (std::string* const text : {&record.key, &record.value}) {
        const std::size_t size = random() % 12;
        for (std::size_t j = 0; j < size; ++j) {
          *text += random() % 2 == 0 ? oddities[random() % oddities.size()]
                                     : static_cast<char>('a' + random() % 26);
        }
      }
      if (random() % 3 == 0) record.expires_at_ms = static_cast<std::int64_t>(1 + random() % 9999);
      append_record(bytes, record, format);
      records.push_back(std::move(record));
    }
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{3}, std::size_t{64}, bytes.size()}) {
      CAPTURE(piece);
      const std::vector<FileItem> items = read_all(bytes, format, piece);
      REQUIRE(items.size() == records.size());
      for (std::size_t i = 0; i < items.size(); ++i) {
        CHECK(items[i].kind == Kind::command);
        std::vector<std::string> words{"SET", records[i].key, records[i].value};
        if (records[i].expires_at_ms) {
          words.insert(words.end(), {"PXAT", std::to_string(*records[i].expires_at_ms)});
        }
        CHECK(items[i].words == words);
      }
    }
  }
}

TEST_CASE("JSON Lines: what is bad has its line, and the next one is read") {
  const std::string bytes =
      "{\"key\":\"a\",\"value\":\"1\"}\n"
      "\n"
      "not json\r\n"
      "[1]\n"
      "{\"key\":\"a\"}\n"
      "{\"key\":1,\"value\":\"\"}\n"
      "{\"key\":\"a\",\"value\":\"1\",\"expires_at_ms\":-1}\n"
      "{\"key\":\"a\",\"value\":\"1\",\"expires_at\":5}\n"
      "{\"key\":\"b\",\"value\":\"2\",\"expires_at_ms\":null}\r\n"
      "{\"key\":\"c\",\"value\":\"3\",\"expires_at_ms\":7}";
  CHECK(told(bytes, FileFormat::json_lines) == Lines{"1: SET a 1", "3: bad", "4: bad", "5: bad",
                                                     "6: bad", "7: bad", "8: bad", "9: SET b 2",
                                                     "10: SET c 3 PXAT 7"});
}

TEST_CASE("CSV: columns by name, quoted line ends count as lines, and bad rows have theirs") {
  const std::string bytes =
      "value,key\r\n"
      "\"1\n2\",a\r\n"
      "only one\n"
      "x\"y,b\n"
      "\"x\"y,b\n"
      "\"\"\"q\"\"\",c\n"
      "last,d";
  CHECK(told(bytes, FileFormat::csv) ==
        Lines{"2: SET a 1\n2", "4: bad", "5: bad", "6: bad", "7: SET c \"q\"", "8: SET d last"});
  CHECK(told("\xef\xbb\xbfkey,value,encoding\nYQ==,Yg==,base64\nYQ,b,base64\na,b,rot13\n",
             FileFormat::csv) == Lines{"2: SET a b", "3: bad", "4: bad"});
  CHECK(told("key,value,expires_at_ms\na,b,12x\na,b,0\na,b,5\n", FileFormat::csv) ==
        Lines{"2: bad", "3: bad", "4: SET a b PXAT 5"});
}

TEST_CASE("CSV: a wrong header, or a quote that is never closed, ends it") {
  CHECK(told("key\na\n", FileFormat::csv) == Lines{"1: broken"});
  CHECK(told("key,value,ttl\na,b,1\n", FileFormat::csv) == Lines{"1: broken"});
  CHECK(told("key,value,key\na,b,c\n", FileFormat::csv) == Lines{"1: broken"});
  CHECK(told("key,value\na,b\nc,\"d\ne,f\n", FileFormat::csv) == Lines{"2: SET a b", "3: broken"});
}

TEST_CASE("RESP: any commands, and what is cut off or no RESP ends it") {
  CHECK(told("*2\r\n$4\r\nINCR\r\n$1\r\na\r\nDEL b\r\n", FileFormat::resp) ==
        Lines{"1: INCR a", "2: DEL b"});
  CHECK(told("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINCR\r\n$1\r\n", FileFormat::resp) ==
        Lines{"1: PING", "2: broken"});
  CHECK(told("*1\r\n$x\r\n", FileFormat::resp) == Lines{"1: broken"});
}

TEST_CASE("an empty file has nothing in it, in any format") {
  for (const FileFormat format : formats) CHECK(told("", format).empty());
}

TEST_CASE("a file's format follows from its name") {
  CHECK(format_of_name("a.csv") == FileFormat::csv);
  CHECK(format_of_name("a.resp") == FileFormat::resp);
  CHECK(format_of_name("a.jsonl") == FileFormat::json_lines);
  CHECK(format_of_name("-") == FileFormat::json_lines);
}

}  // namespace kvs::cli

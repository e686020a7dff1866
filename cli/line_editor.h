// line_editor.h - one line after the other from whoever sits at the terminal.
//
// With libedit (Debian's readline is GPL-3): editing, history, completion on Tab, and hints at the
// right of the line. Without it, or when stdin is no terminal: lines as they come.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvs::cli {

class LineEditor {
 public:
  struct Helpers {
    // What the last word of the text before the cursor may become.
    std::function<std::vector<std::string>(std::string_view)> completions;
    // What may follow the text before the cursor.
    std::function<std::string(std::string_view)> hint;
  };
  enum class Outcome : std::uint8_t { line, interrupted, end };

  virtual ~LineEditor() = default;

  // Shows `prompt` and waits for a line, without the newline at its end.
  virtual Outcome read(const std::string& prompt, std::string& line) = 0;
  // For the keys that go back; not where it is stored.
  virtual void remember(const std::string& line) = 0;
};

std::unique_ptr<LineEditor> make_line_editor(LineEditor::Helpers helpers);

}  // namespace kvs::cli

#include "cli/line_editor.h"

#include <cstdio>
#include <unistd.h>
#include <utility>

#include "cli/output.h"

#ifdef KVS_LIBEDIT
#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cwchar>
#include <histedit.h>
#include <poll.h>

#include "cli/history_file.h"
#endif

namespace kvs::cli {
namespace {

// stdin as it comes: a script, or a terminal without libedit.
class PlainLines final : public LineEditor {
 public:
  Outcome read(const std::string& prompt, std::string& line) override {
    if (::isatty(STDIN_FILENO) != 0) {
      std::fputs(prompt.c_str(), stdout);
      std::fflush(stdout);
    }
    line.clear();
    for (int byte = std::getc(stdin); byte != EOF; byte = std::getc(stdin)) {
      if (byte == '\n') return Outcome::line;
      line += static_cast<char>(byte);
    }
    return line.empty() ? Outcome::end : Outcome::line;
  }
  void remember(const std::string& /*line*/) override {}
};

#ifdef KVS_LIBEDIT

// Ctrl-C while a line is typed: its only effect is that read_character() returns.
void interrupt_read(int /*signal*/) {}

// SIGINT for as long as a line is read: blocked, but while we wait for a key. One that came between
// two waits would otherwise be lost, and the next wait would not know of it.
class InterruptWhileWaiting {
 public:
  InterruptWhileWaiting() {
    sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::sigprocmask(SIG_BLOCK, &interrupt, &mask_before_);
    struct sigaction action = {};
    action.sa_handler = interrupt_read;
    ::sigaction(SIGINT, &action, &action_before_);
  }
  ~InterruptWhileWaiting() {
    ::sigaction(SIGINT, &action_before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  InterruptWhileWaiting(const InterruptWhileWaiting&) = delete;
  InterruptWhileWaiting& operator=(const InterruptWhileWaiting&) = delete;

 private:
  sigset_t mask_before_ = {};
  struct sigaction action_before_ = {};
};

constexpr wchar_t end_key = L'\x04';  // Ctrl-D

// As libedit's own, but with SIGINT open only while it waits: 1, 0 at the end, -1 with errno.
int read_character(EditLine* /*editor*/, wchar_t* character) {
  sigset_t open = {};
  ::sigprocmask(SIG_SETMASK, nullptr, &open);
  ::sigdelset(&open, SIGINT);
  std::mbstate_t state = {};
  for (;;) {
    pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (::ppoll(&input, 1, nullptr, &open) < 0) return -1;
    char byte = 0;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got <= 0) return static_cast<int>(got);
    if (byte == '\0') {
      // A Ctrl-D that was typed ahead, between two prompts: the terminal was in line mode and took
      // it for an end of file, which is a NUL to who reads it in raw mode. To libedit it would set
      // the mark, and no Ctrl-D after it would end the prompt.
      *character = end_key;
      return 1;
    }
    const std::size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == static_cast<std::size_t>(-2)) continue;  // a part of a character
    if (used == static_cast<std::size_t>(-1)) {
      state = {};  // none in this locale: it is left out
      continue;
    }
    return 1;
  }
}

class EditedLines final : public LineEditor {
 public:
  explicit EditedLines(Helpers helpers) : helpers_(std::move(helpers)) {
    std::setlocale(LC_CTYPE, "");
    HistEvent event;
    history_ = ::history_init();
    ::history(history_, &event, H_SETSIZE, static_cast<int>(history_lines_max));
    ::history(history_, &event, H_SETUNIQUE, 1);
    editor_ = ::el_init("kvs-client", stdin, stdout, stderr);
    ::el_set(editor_, EL_CLIENTDATA, this);
    ::el_set(editor_, EL_GETCFN, &read_character);
    ::el_set(editor_, EL_PROMPT, &EditedLines::prompt);
    ::el_set(editor_, EL_RPROMPT, &EditedLines::right_prompt);
    ::el_set(editor_, EL_EDITOR, "emacs");
    ::el_set(editor_, EL_HIST, history, history_);
    ::el_set(editor_, EL_ADDFN, "kvs-complete", "Completes the word", &EditedLines::complete);
    ::el_set(editor_, EL_ADDFN, "kvs-blank", "Inserts a blank, shows a hint", &EditedLines::blank);
    ::el_set(editor_, EL_BIND, "^I", "kvs-complete", nullptr);
    ::el_set(editor_, EL_BIND, " ", "kvs-blank", nullptr);
    ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    ::el_set(editor_, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
    ::el_source(editor_, nullptr);  // ~/.editrc
  }
  ~EditedLines() override {
    ::el_end(editor_);
    ::history_end(history_);
  }
  EditedLines(const EditedLines&) = delete;
  EditedLines& operator=(const EditedLines&) = delete;

  Outcome read(const std::string& prompt, std::string& line) override {
    prompt_ = prompt;
    int count = 0;
    const char* text = nullptr;
    bool interrupted = false;
    {
      const InterruptWhileWaiting interrupt;
      errno = 0;
      text = ::el_gets(editor_, &count);
      interrupted = text == nullptr && errno == EINTR;
    }
    if (interrupted || text == nullptr) {
      if (interrupted) ::el_reset(editor_);
      std::fputc('\n', stdout);
      std::fflush(stdout);
      return interrupted ? Outcome::interrupted : Outcome::end;
    }
    line.assign(text, static_cast<std::size_t>(count));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    return Outcome::line;
  }

  void remember(const std::string& line) override {
    HistEvent event;
    ::history(history_, &event, H_ENTER, line.c_str());
  }

 private:
  static EditedLines& self(EditLine* editor) {
    void* data = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<EditedLines*>(data);
  }

  static std::string_view before_cursor(EditLine* editor) {
    const LineInfo* const info = ::el_line(editor);
    return {info->buffer, static_cast<std::size_t>(info->cursor - info->buffer)};
  }

  // libedit writes nothing through these pointers, although it wants them to allow that.
  static char* prompt(EditLine* editor) { return self(editor).prompt_.data(); }

  static char* right_prompt(EditLine* editor) {
    EditedLines& me = self(editor);
    const std::string_view typed = before_cursor(editor);
    // Only where the next word begins: at any other place it would be for the wrong one.
    me.hint_ = typed.ends_with(' ') ? me.helpers_.hint(typed) : std::string();
    return me.hint_.data();
  }

  static unsigned char blank(EditLine* editor, int /*character*/) {
    if (::el_insertstr(editor, " ") != 0) return CC_ERROR;
    return CC_REFRESH;  // the right prompt is drawn anew with the line only
  }

  static unsigned char complete(EditLine* editor, int /*character*/) {
    EditedLines& me = self(editor);
    const std::string_view typed = before_cursor(editor);
    const std::size_t blank_at = typed.find_last_of(' ');
    const std::size_t begun =
        typed.size() - (blank_at == std::string_view::npos ? 0 : blank_at + 1);
    const std::vector<std::string> found = me.helpers_.completions(typed);
    if (found.empty()) return CC_ERROR;
    std::string common = found.front();
    for (const std::string& each : found) {
      const auto differs = std::mismatch(common.begin(), common.end(), each.begin(), each.end());
      common.erase(differs.first, common.end());
    }
    if (found.size() == 1) common += ' ';
    if (common.size() > begun) {
      // The word as the server writes it, not only its rest.
      ::el_deletestr(editor, static_cast<int>(begun));
      if (::el_insertstr(editor, common.c_str()) != 0) return CC_ERROR;
      return CC_REFRESH;
    }
    std::fputc('\n', stdout);
    for (const std::string& each : found) std::fprintf(stdout, "%s  ", each.c_str());
    std::fputc('\n', stdout);
    std::fflush(stdout);
    return CC_REDISPLAY;
  }

  Helpers helpers_;
  std::string prompt_;
  std::string hint_;
  History* history_ = nullptr;
  EditLine* editor_ = nullptr;
};

#endif

}  // namespace

std::unique_ptr<LineEditor> make_line_editor(LineEditor::Helpers helpers) {
#ifdef KVS_LIBEDIT
  if (is_terminal(STDIN_FILENO) && ::isatty(STDOUT_FILENO) != 0) {
    return std::make_unique<EditedLines>(std::move(helpers));
  }
#endif
  static_cast<void>(helpers);
  return std::make_unique<PlainLines>();
}

}  // namespace kvs::cli

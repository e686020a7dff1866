// history_file.h - what was typed at the prompt, kept for the next time: one line each, readable
// by its owner only, in $XDG_STATE_HOME/kvs/history or ~/.local/state/kvs/history.
//
// Lines are appended one by one, so that two prompts at the same time keep both. Whatever fails
// here is no reason to disturb anybody: there is no history then.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvs::cli {

inline constexpr std::size_t history_lines_max = 1000;

// Empty: nowhere.
std::string history_path();

// The last lines; makes the file shorter when it has grown to several times as many.
std::vector<std::string> load_history(const std::string& path);

void append_history(const std::string& path, std::string_view line);

// A line with a password in it must not be kept: AUTH, HELLO with AUTH, CONFIG SET requirepass and
// such.
bool has_secret(const std::vector<std::string>& words);

}  // namespace kvs::cli

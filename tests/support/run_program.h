// run_program.h - runs programs from tests, always with a time limit.
//
// A child is killed when the thread that started it ends, so that no test leaves servers behind
// even when it is itself killed: start from a thread that outlives the child.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace kvs::test {

// Where the build put `name`: ${KVS_TEST_BIN}/name.
std::filesystem::path test_program(std::string_view name);

struct Command {
  std::filesystem::path program;
  std::vector<std::string> arguments;    // without the program's name
  std::vector<std::string> environment;  // NAME=VALUE, besides our own environment
  std::filesystem::path dir;             // empty: ours
};

struct ProgramResult {
  int exit_code = -1;  // 128 + signal when a signal ended it
  bool timed_out = false;
  std::string out;
  std::string err;
};

// Runs `command` to its end with `input` on stdin. One that takes longer than `timeout` is killed.
// Throws std::system_error when it cannot be started at all.
ProgramResult run_program(const Command& command, std::string_view input = {},
                          std::chrono::milliseconds timeout = std::chrono::seconds(20));

// For those who keep a child running.
struct Streams {
  int in = -1;  // -1: /dev/null
  int out = -1;
  int err = -1;
};
pid_t start_program(const Command& command, const Streams& streams);

// Waits for the end of a child that this process started; nullopt: still running after `timeout`.
std::optional<int> wait_for_program(pid_t pid, std::chrono::milliseconds timeout);

}  // namespace kvs::test

#include "tests/support/acked_writer.h"

#include <algorithm>

#include "tests/support/request.h"

namespace kvs::test {
namespace {

constexpr std::uint64_t keys_count = 60;
constexpr std::uint64_t pipeline_operations_max = 30;

std::uint64_t mixed(std::uint64_t n) {
  n += 0x9e3779b97f4a7c15;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
  n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
  return n ^ (n >> 31);
}

}  // namespace

AckedWriter::Operation AckedWriter::operation(std::uint64_t n) const {
  const std::uint64_t random = mixed(seed_ + n);
  Operation operation{.key = random % keys_count};
  if (random % 7 == 3) operation.kind = Operation::Kind::remove;
  if (random % 7 == 5) operation.kind = Operation::Kind::set_two;
  return operation;
}

std::string AckedWriter::key_of(std::uint64_t key) const {
  return "writer" + std::to_string(number_) + ":" + std::to_string(key);
}

std::string AckedWriter::value_of(std::uint64_t n) const {
  return std::to_string(n) + ":" + std::string(mixed(n) % 200, 'v');
}

void AckedWriter::append(std::string& batch, std::uint64_t n) const {
  const Operation what = operation(n);
  const std::string key = key_of(what.key);
  const auto set = [&](const std::string& name) {
    return asks_ == Asks::by_each_set
               ? encode_request({"SET", name, value_of(n), "DURABILITY", "sync"})
               : encode_request({"SET", name, value_of(n)});
  };
  switch (what.kind) {
    case Operation::Kind::set:
      batch += set(key);
      break;
    case Operation::Kind::remove:
      batch += encode_request({"DEL", key});
      break;
    case Operation::Kind::set_two:
      batch += encode_request({"MULTI"});
      batch += set(key);
      batch += set(key + ":twin");
      batch += encode_request({"EXEC"});
  }
}

bool AckedWriter::read_replies(Socket& socket, std::uint64_t n) {
  const auto expect = [&](std::initializer_list<std::string_view> allowed) {
    const std::string reply = socket.read_reply();
    if (std::find(allowed.begin(), allowed.end(), reply) != allowed.end()) return true;
    refusal_ = reply;
    return false;
  };
  switch (operation(n).kind) {
    case Operation::Kind::set:
      return expect({"+OK\r\n"});
    case Operation::Kind::remove:
      return expect({":0\r\n", ":1\r\n"});
    case Operation::Kind::set_two:
      return expect({"+OK\r\n"}) && expect({"+QUEUED\r\n"}) && expect({"+QUEUED\r\n"}) &&
             expect({"*2\r\n+OK\r\n+OK\r\n"});
  }
  return false;
}

void AckedWriter::run(Socket socket) {
  refusal_.clear();
  try {
    if (asks_ == Asks::once && socket.command({"CLIENT", "DURABILITY", "sync"}) != "+OK\r\n") {
      refusal_ = "CLIENT DURABILITY is refused";
      return;
    }
    for (;;) {
      const std::uint64_t first = sent_ + 1;
      const std::uint64_t last = first + mixed(seed_ ^ first) % pipeline_operations_max;
      std::string batch;
      for (std::uint64_t n = first; n <= last; ++n) append(batch, n);
      sent_ = last;  // some of it may arrive whatever send_all says
      socket.send_all(batch);
      for (std::uint64_t n = first; n <= last; ++n) {
        if (!read_replies(socket, n)) return;
        if (asks_ != Asks::by_each_set || operation(n).kind != Operation::Kind::remove) acked_ = n;
        ++acknowledged_count_;
      }
    }
  } catch (const SocketError&) {
    // The end that the test is about.
  }
}

void AckedWriter::apply(Values& values, std::uint64_t n) const {
  const Operation what = operation(n);
  const std::string key = key_of(what.key);
  if (what.kind == Operation::Kind::remove) {
    values.erase(key);
    return;
  }
  values[key] = value_of(n);
  if (what.kind == Operation::Kind::set_two) values[key + ":twin"] = value_of(n);
}

AckedWriter::Values AckedWriter::read_all(Socket& socket) const {
  std::vector<std::string> names;
  std::string batch;
  for (std::uint64_t key = 0; key < keys_count; ++key) {
    for (const char* suffix : {"", ":twin"}) {
      names.push_back(key_of(key) + suffix);
      batch += encode_request({"GET", names.back()});
    }
  }
  socket.send_all(batch);
  Values found;
  for (const std::string& name : names) {
    const std::string reply = socket.read_reply();
    if (reply == "$-1\r\n") continue;
    const std::size_t begin = reply.find('\n') + 1;
    // An error reply stays as it is: it equals no value.
    found[name] = reply.front() == '$' ? reply.substr(begin, reply.size() - begin - 2) : reply;
  }
  return found;
}

std::string AckedWriter::check(Socket& socket, Owed owed) {
  const Values found = read_all(socket);
  Values expected = base_;
  const std::uint64_t owed_n = owed_.value_or(acked_);
  std::optional<std::uint64_t> right;
  std::string newest_acked;
  for (std::uint64_t n = base_n_;; ++n) {
    if (n > base_n_) apply(expected, n);
    if ((n >= owed_n || owed == Owed::order) && expected == found) right = n;
    if (n == owed_n) {
      for (const auto& [key, value] : expected) {
        const auto there = found.find(key);
        if (there != found.end() && there->second == value) continue;
        newest_acked += " " + key + " is " +
                        (there == found.end() ? "absent" : there->second.substr(0, 30)) +
                        " and was acknowledged as " + value.substr(0, 8);
        if (newest_acked.size() > 400) break;
      }
    }
    if (n == sent_) break;
  }
  if (!right) {
    return "writer " + std::to_string(number_) + ": no number of operations from " +
           std::to_string(owed_n) + " (acknowledged) to " + std::to_string(sent_) +
           " (sent) gives what was found:" + newest_acked;
  }
  base_ = found;
  base_n_ = acked_ = sent_;
  owed_.reset();
  return {};
}

}  // namespace kvs::test

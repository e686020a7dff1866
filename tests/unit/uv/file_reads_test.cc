// file_reads_test.cc - reads of files beside a loop: the same promises through io_uring and through
// the pool.
#include "protocol/file_reads/file_reads.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/future.h"
#include "protocol/async/task.h"
#include "tests/support/seed.h"
#include "tests/support/temp_dir.h"

using kvs::Code;
using kvs::Result;
using kvs::uv::FileReads;
using kvs::uv::FileReadsOptions;
using kvs::uv::Loop;
using kvs::uv::ReadMethod;
using kvs::uv::ReadOperation;
using namespace std::chrono_literals;

namespace {

// A file of random bytes that is gone with its directory.
class RandomFile {
 public:
  explicit RandomFile(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    bytes_.resize(size);
    for (char& byte : bytes_) byte = static_cast<char>(random());
    const std::string path = (dir_.path() / "file").string();
    descriptor_ = ::open(path.c_str(), O_CREAT | O_RDWR, 0600);
    REQUIRE(descriptor_ >= 0);
    REQUIRE(::write(descriptor_, bytes_.data(), size) == static_cast<ssize_t>(size));
  }
  ~RandomFile() { ::close(descriptor_); }

  int descriptor() const { return descriptor_; }
  const std::string& bytes() const { return bytes_; }
  // So that the next reads have to ask the disk.
  void drop_cached() const {
    ::fdatasync(descriptor_);
    ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  }

 private:
  kvs::test::TempDir dir_;
  std::string bytes_;
  int descriptor_ = -1;
};

// A loop that sends what was started at the end of each iteration, as a worker does.
class Rig {
 public:
  explicit Rig(const FileReadsOptions& options) {
    auto opened = kvs::uv::open_file_reads(loop, options);
    REQUIRE_MESSAGE(opened, opened.error().message());
    reads_ = std::move(*opened);
    CHECK(reads_->method() == options.method);
    prepare_ = kvs::uv::make_handle<uv_prepare_t>(
        [&](uv_prepare_t* prepare) { uv_prepare_init(loop.raw(), prepare); });
    prepare_->data = reads_.get();
    uv_prepare_start(prepare_.get(), [](uv_prepare_t* prepare) {
      static_cast<FileReads*>(prepare->data)->submit();
    });
  }

  bool run_until(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      loop.run_ready();
    }
    return true;
  }

  FileReads& reads() { return *reads_; }

  Loop loop;

 private:
  std::unique_ptr<FileReads> reads_;
  kvs::uv::HandlePtr<uv_prepare_t> prepare_;
};

struct Read final : kvs::Completion {
  Read(FileReads& reads, int descriptor, std::uint64_t offset, std::size_t size)
      : buffer(size, '?'), operation(reads, descriptor, offset, buffer) {
    if (operation.start(*this)) done = true;
  }
  void complete() noexcept override { done = true; }

  bool done = false;
  std::string buffer;
  ReadOperation operation;
};

std::vector<ReadMethod> methods() {
  std::vector<ReadMethod> all{ReadMethod::pool};
  if (kvs::uv::try_io_uring()) {
    all.push_back(ReadMethod::io_uring);
  } else {
    MESSAGE("io_uring is refused here: ", kvs::uv::try_io_uring().error().message());
  }
  return all;
}

kvs::Task<void> read_in_turn(FileReads& reads, const RandomFile& file, int times, int& right) {
  for (int i = 0; i < times; ++i) {
    char byte = 0;
    const auto offset = static_cast<std::size_t>(i) % file.bytes().size();
    ReadOperation read(reads, file.descriptor(), offset, std::span(&byte, 1));
    const auto got = co_await read;
    if (got && *got == 1 && byte == file.bytes()[offset]) ++right;
  }
}

}  // namespace

TEST_CASE("many reads at a time yield the file's bytes, up to its end") {
  const std::uint64_t seed = kvs::test::test_seed("file_reads");
  const RandomFile file(3 << 20, seed);
  for (const ReadMethod method : methods()) {
    for (const unsigned depth : {1U, 3U, 64U}) {
      CAPTURE(depth);
      CAPTURE(static_cast<int>(method));
      file.drop_cached();
      Rig rig({.method = method, .depth = depth, .pool_jobs = depth});
      std::mt19937_64 random(seed + depth);
      std::deque<Read> reads;
      std::vector<std::size_t> offsets;
      for (int i = 0; i < 300; ++i) {
        offsets.push_back(random() % (file.bytes().size() + 100));
        // Long ones too, which io_uring is told to do on a thread of its own.
        const std::size_t size = i % 50 == 0 ? random() % (1 << 20) : random() % 5000;
        reads.emplace_back(rig.reads(), file.descriptor(), offsets.back(), size);
      }
      REQUIRE(rig.run_until([&] { return std::ranges::all_of(reads, &Read::done); }));
      for (std::size_t i = 0; i < reads.size(); ++i) {
        CAPTURE(i);
        const auto got = reads[i].operation.take();
        REQUIRE(got);
        const std::string_view wanted =
            offsets[i] < file.bytes().size()
                ? std::string_view(file.bytes()).substr(offsets[i], reads[i].buffer.size())
                : std::string_view();
        CHECK(*got == wanted.size());
        CHECK(std::string_view(reads[i].buffer).substr(0, *got) == wanted);
      }
    }
  }
}

TEST_CASE("a read that fails says so, and those beside it succeed") {
  const RandomFile file(1000, 1);
  for (const ReadMethod method : methods()) {
    Rig rig({.method = method});
    Read before(rig.reads(), file.descriptor(), 0, 10);
    Read bad(rig.reads(), 1 << 20, 0, 10);
    Read directory(rig.reads(), ::open("/", O_RDONLY | O_DIRECTORY), 0, 10);
    Read after(rig.reads(), file.descriptor(), 10, 10);
    REQUIRE(rig.run_until([&] { return before.done && bad.done && directory.done && after.done; }));
    CHECK(before.operation.take() == Result<std::size_t>(10));
    CHECK(after.operation.take() == Result<std::size_t>(10));
    const auto failed = bad.operation.take();
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code() == Code::io);
    CHECK(failed.error().message() == "cannot read: Bad file descriptor");
    CHECK_FALSE(directory.operation.take());
  }
}

TEST_CASE("a coroutine reads a thousand times in a row") {
  const RandomFile file(1000, 2);
  for (const ReadMethod method : methods()) {
    Rig rig({.method = method});
    int right = 0;
    auto task = kvs::boxed(read_in_turn(rig.reads(), file, 1000, right));
    REQUIRE(rig.run_until([&] { return right == 1000; }));
  }
}

TEST_CASE("reads that are dropped at any moment leave buffers alone, and the others complete") {
  const std::uint64_t seed = kvs::test::test_seed("dropped reads");
  const RandomFile file(4 << 20, seed);
  for (const ReadMethod method : methods()) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 30; ++round) {
      CAPTURE(round);
      file.drop_cached();
      Rig rig({.method = method, .depth = 8, .pool_jobs = 2});
      std::vector<std::unique_ptr<Read>> reads;
      for (int i = 0; i < 40; ++i) {
        const std::size_t size = 1 + random() % 20'000;
        reads.push_back(std::make_unique<Read>(rig.reads(), file.descriptor(),
                                               random() % (file.bytes().size() - size), size));
      }
      // Nothing, or some of it, is under way by now.
      for (auto steps = random() % 4; steps > 0; --steps) rig.loop.run_ready();
      if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
      for (auto& read : reads) {
        if (random() % 2 == 0) read.reset();
      }
      std::erase(reads, nullptr);
      if (round % 3 == 0) reads.clear();  // and the loop ends at once
      REQUIRE(rig.run_until(
          [&] { return std::ranges::all_of(reads, [](const auto& read) { return read->done; }); }));
      for (auto& read : reads) {
        CHECK(read->operation.take() == Result<std::size_t>(read->buffer.size()));
      }
    }
  }
}

TEST_CASE("a completion may drop the reads that complete beside it") {
  struct First final : kvs::Completion {
    void complete() noexcept override {
      done = true;
      others.clear();
    }
    bool done = false;
    std::vector<std::unique_ptr<Read>> others;
  };
  const RandomFile file(1 << 20, 3);
  for (const ReadMethod method : methods()) {
    for (int round = 0; round < 20; ++round) {
      if (round % 2 == 0) file.drop_cached();
      Rig rig({.method = method});
      First first;
      char byte = 0;
      ReadOperation operation(rig.reads(), file.descriptor(), 0, std::span(&byte, 1));
      const bool at_once = operation.start(first);
      for (int i = 0; i < 20; ++i) {
        first.others.push_back(std::make_unique<Read>(rig.reads(), file.descriptor(), 50'000 * i,
                                                      round % 3 == 0 ? 300'000 : 100));
      }
      if (at_once) first.complete();
      REQUIRE(rig.run_until([&] { return first.done; }));
      CHECK(byte == file.bytes()[0]);
    }
  }
}

TEST_CASE("an empty read is complete at once") {
  const RandomFile file(10, 4);
  for (const ReadMethod method : methods()) {
    Rig rig({.method = method});
    Read read(rig.reads(), file.descriptor(), 0, 0);
    CHECK(read.done);
    CHECK(read.operation.take() == Result<std::size_t>(0));
  }
}

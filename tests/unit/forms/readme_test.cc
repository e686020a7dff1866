// readme_test.cc - the snippets of README.md, compiled and run.
//
// What stands between two markers below must stand in README.md word for word, less the
// indentation; the last case compares them.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

// readme: headers
#include "protocol/async/combinators.h"
#include "protocol/async/sync_wait.h"
#include "storage/async_engine.h"
#include "storage/options.h"
#include "storage/thread_pool/thread_pools.h"
// end

#include "protocol/uv/loop.h"
#include "protocol/uv/timers.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace kvs;
using namespace std::chrono_literals;

// readme: coroutine
Task<Result<std::size_t>> count_visit(AsyncEngine engine, std::string name) {
  auto reading = engine.get_op(name);  // by hand: no heap; engine.get(name) is a Task of its own
  const auto visits = co_await reading;
  if (!visits) co_return std::unexpected(visits.error());
  const std::size_t count = *visits ? std::stoul(**visits) + 1 : 1;
  auto writing = engine.set_op(name, std::to_string(count));
  const auto done = co_await writing;
  if (!done) co_return std::unexpected(done.error());
  co_return count;
}
// end

AsyncEngine open_at(const std::string& directory) {
  // readme: open
  std::shared_ptr<Engine> opened = *open_engine("kvs", {.directory = directory});
  AsyncEngine engine(opened, *open_shared_queue_pool({.threads = 4}));
  // end
  return engine;
}

std::string file(const std::string& name) {
  const char* root = std::getenv("KVS_SOURCE_DIR");
  REQUIRE(root != nullptr);
  std::ifstream in(std::string(root) + "/" + name);
  REQUIRE(in);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

TEST_CASE("the forms as README shows them") {
  const test::TempDir dir;
  const AsyncEngine engine = open_at(dir.path().string());

  // readme: boxed
  Future<Result<bool>> storing = engine.set_future("greeting", "hello");  // runs already
  storing.wait_for(10s);                                                  // or forget it
  const Result<bool> stored = storing.get();
  // end
  REQUIRE(stored);
  CHECK(*stored);

  // readme: combinators
  auto length = map(engine.get_op("greeting"), [](auto text) { return text ? text->size() : 0; });
  auto both = when_all(std::move(length), or_else(engine.remove_op("nothing"), [](Error) {
                         return ready(Result<void>());  // it was not there: fine
                       }));
  auto [bytes, removed] = sync_wait(std::move(both));
  // end
  CHECK(*bytes == 5);
  CHECK(removed);

  CHECK(*sync_wait(count_visit(engine, "visits")) == 1);
  CHECK(*sync_wait(count_visit(engine, "visits")) == 2);

  uv::Loop loop;
  {
    uv::Timers timers(loop);
    // readme: timeout
    auto limited = with_timeout(boxed(engine.get_op("greeting")), timers, 50ms);
    // end
    CHECK(block_on(loop, std::move(limited))->value() == "hello");
  }
  CHECK(engine.engine().close());
}

TEST_CASE("README.md holds these snippets word for word") {
  const std::string readme = file("README.md");
  std::size_t found = 0;
  std::string snippet;
  bool inside = false;
  std::size_t indentation = 0;
  std::ifstream self(std::string(std::getenv("KVS_SOURCE_DIR")) +
                     "/tests/unit/forms/readme_test.cc");
  for (std::string line; std::getline(self, line);) {
    const std::size_t first = line.find_first_not_of(' ');
    if (!inside && first != std::string::npos && line.substr(first).starts_with("// readme: ")) {
      inside = true;
      indentation = first;
      snippet.clear();
    } else if (inside && first != std::string::npos && line.substr(first) == "// end") {
      inside = false;
      ++found;
      INFO(snippet);
      CHECK(readme.find(snippet) != std::string::npos);
    } else if (inside) {
      snippet += line.substr(std::min(indentation, line.size())) + "\n";
    }
  }
  CHECK(found == 6);
}

// drop_test.cc - an operation that is dropped at every point of its life, on a server that goes at
// every point of its own. Run under ASan; what is checked here is that nobody is told wrongly.
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/client/client.h"
#include "protocol/client/run.h"
#include "protocol/uv/timer.h"
#include "tests/support/seed.h"
#include "tests/unit/client/fixture.h"

using kvs::Code;
using kvs::Result;
using kvs::client::Client;
using kvs::client::GetOperation;
using kvs::client::Pipeline;
using kvs::client::PipelineOperation;
using kvs::client::PipelineReplies;
using kvs::client::run;
using kvs::test::ClientFixture;
using kvs::test::FakeServer;
using kvs::test::Peer;
using namespace std::chrono_literals;

namespace {

class Note final : public kvs::Completion {
 public:
  void complete() noexcept override {
    ++told;
    if (then) then();
  }
  int told = 0;
  std::function<void()> then;
};

// Runs `loop` for a moment, or until something stops it.
void let_run(kvs::uv::Loop& loop, std::chrono::milliseconds time) {
  kvs::uv::Timer pause(loop, [&] { loop.stop(); });
  pause.start_once(time);
  loop.run();
}

// Answers every GET of 20 bytes.
void answer_gets(Peer& peer) {
  while (peer.read(20).size() == 20) peer.send("$1\r\nv\r\n");
}

}  // namespace

TEST_CASE("dropped before it was started, after, and after its reply: nobody is told, others are") {
  FakeServer server(answer_gets);
  ClientFixture fixture(server.address());
  Note note;
  { GetOperation unstarted = fixture.client().get_op("k"); }
  {
    GetOperation started = fixture.client().get_op("k");
    REQUIRE_FALSE(started.start(note));
  }
  {
    Note perhaps;  // its reply may come at once
    GetOperation sent = fixture.client().get_op("k");
    REQUIRE_FALSE(sent.start(perhaps));
    fixture.loop().run_ready();
  }
  CHECK(note.told == 0);
  {
    GetOperation answered = fixture.client().get_op("k");
    note.then = [&] { fixture.loop().stop(); };
    REQUIRE_FALSE(answered.start(note));
    fixture.loop().run();
    CHECK(note.told == 1);
  }
  CHECK(*fixture.run(fixture.client().get("k")) == "v");
  CHECK(note.told == 1);
}

TEST_CASE("an operation may be destroyed by whoever it tells, and take others with it") {
  FakeServer server(answer_gets);
  ClientFixture fixture(server.address());
  std::vector<std::unique_ptr<GetOperation>> operations;
  std::array<Note, 4> notes;
  for (Note& note : notes) {
    operations.push_back(std::make_unique<GetOperation>(fixture.client().get_op("k")));
    REQUIRE_FALSE(operations.back()->start(note));
  }
  // The second ends itself, the first and the third.
  notes[1].then = [&] {
    operations[2].reset();
    operations[1].reset();
    operations[0].reset();
  };
  notes[3].then = [&] { fixture.loop().stop(); };
  fixture.loop().run();
  CHECK(notes[0].told == 1);
  CHECK(notes[1].told == 1);
  CHECK(notes[2].told == 0);
  CHECK(notes[3].told == 1);
}

TEST_CASE("a client that is closed by whoever is told of its end") {
  FakeServer server([](Peer& peer) { peer.read(40); });
  ClientFixture fixture(server.address());
  std::array<Note, 2> notes;
  GetOperation first = fixture.client().get_op("k");
  GetOperation second = fixture.client().get_op("k");
  notes[0].then = [&] { fixture.drop_client(); };
  notes[1].then = [&] { fixture.loop().stop(); };
  REQUIRE_FALSE(first.start(notes[0]));
  REQUIRE_FALSE(second.start(notes[1]));
  fixture.loop().run();
  CHECK(notes[1].told == 1);
  CHECK_FALSE(first.take());
  CHECK_FALSE(second.take());
}

TEST_CASE("a pipeline that is dropped half answered leaves the others their replies") {
  FakeServer server([](Peer& peer) {
    peer.read(3 * 20);
    peer.send("$1\r\n1\r\n");
    peer.read(20);  // sent after the drop
    peer.send("$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
    peer.wait_for_close();
  });
  ClientFixture fixture(server.address());
  Note note;
  {
    Pipeline pipeline = fixture.client().pipeline();
    pipeline.get("k").get("k").get("k");
    PipelineOperation running = pipeline.run_op();
    REQUIRE_FALSE(running.start(note));
    while (fixture.client().in_flight() == 3) let_run(fixture.loop(), 1ms);
  }
  CHECK(*fixture.run(fixture.client().get("k")) == "4");
  CHECK(note.told == 0);
}

TEST_CASE("of a pipeline, each command's error says whether it may have been executed") {
  FakeServer server([](Peer& peer) {
    peer.read(20);
    peer.send("$1\r\n1\r\n");
  });
  ClientFixture fixture(server.address());
  Pipeline pipeline = fixture.client().pipeline();
  pipeline.get("k").get("k").get("k");
  const PipelineReplies replies = fixture.run(pipeline.run());
  REQUIRE(replies);
  CHECK((*replies)[0]->text == "1");
  CHECK(kvs::test::failed_with((*replies)[1], Code::connection_lost, "may have been executed"));
  CHECK(kvs::test::failed_with((*replies)[2], Code::connection_lost, "may have been executed"));
}

TEST_CASE("operations started and dropped at random, answered or not, always match their replies") {
  const std::uint64_t seed = kvs::test::test_seed("drop_test");
  std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
  FakeServer server([](Peer& peer) {
    for (std::int64_t number = 0;; ++number) {
      if (peer.read(20).size() != 20) return;
      const std::string text = std::to_string(number);
      peer.send("$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
    }
  });
  ClientFixture fixture(server.address());
  struct Running {
    std::int64_t number;
    Note note;
    std::unique_ptr<GetOperation> operation;
  };
  std::vector<std::unique_ptr<Running>> running;
  std::int64_t started = 0;
  int answered = 0;
  while (started < 2000) {
    if (random() % 3 != 0) {
      auto one = std::make_unique<Running>();
      one->number = started++;
      one->operation = std::make_unique<GetOperation>(fixture.client().get_op("k"));
      REQUIRE_FALSE(one->operation->start(one->note));
      running.push_back(std::move(one));
    }
    if (!running.empty() && random() % 4 == 0) {
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(random() % running.size()));
    }
    if (random() % 8 == 0) fixture.loop().run_ready();
    std::erase_if(running, [&](const std::unique_ptr<Running>& one) {
      if (one->note.told == 0) return false;
      const auto value = one->operation->take();
      REQUIRE(value);
      REQUIRE(**value == std::to_string(one->number));
      ++answered;
      return true;
    });
  }
  CHECK(answered > 0);
}

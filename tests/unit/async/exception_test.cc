// exception_test.cc - functions that throw, inside combinators.
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include "protocol/async/combinators.h"
#include "protocol/async/future.h"
#include "protocol/async/sync_wait.h"
#include "tests/support/manual_operation.h"

using kvs::Code;
using kvs::Error;
using kvs::map;
using kvs::or_else;
using kvs::ready;
using kvs::Result;
using kvs::sync_wait;
using kvs::then;
using kvs::test::ManualSource;

namespace {

int throws(int value) {
  throw std::runtime_error("no good: " + std::to_string(value));
}

}  // namespace

TEST_CASE("a function that throws makes the outcome an error that says what") {
  const Error expected(Code::exception, "no good: 1");
  CHECK(sync_wait(map(ready(Result<int>(1)), throws)).error() == expected);
  const auto second = [](int value) { return ready(Result<int>(throws(value))); };
  CHECK(sync_wait(then(ready(Result<int>(1)), second)).error() == expected);
  const auto failed = ready(Result<int>(kvs::fail(Code::io, "")));
  const auto recover = [](const Error&) { return ready(Result<int>(throws(1))); };
  CHECK(sync_wait(or_else(failed, recover)).error() == expected);
  const auto change = [](const Error& error) -> Error {
    throws(1);
    return error;
  };
  CHECK(sync_wait(map_error(failed, change)).error() == expected);
}

TEST_CASE("something that is no std::exception is an error too") {
  const auto odd = [](int) -> int { throw 5; };
  CHECK(sync_wait(map(ready(Result<int>(1)), odd)).error().code() == Code::exception);
}

TEST_CASE("a function that throws on the completing thread does no harm there") {
  ManualSource<Result<int>> source;
  auto chained =
      kvs::boxed(then(source.op(), [](int value) { return ready(Result<int>(throws(value))); }));
  CHECK(source.fire(2));
  CHECK(chained.get().error() == Error(Code::exception, "no good: 2"));
  // The pipeline goes on behind it: the error can be recovered from like any other.
  auto recovered = kvs::boxed(or_else(map(source.op(), throws), [](const Error& error) {
    return ready(Result<int>(error.code() == Code::exception ? 1 : 0));
  }));
  CHECK(source.fire(3));
  CHECK(*recovered.get() == 1);
}

// engine_under_test.h - which engine the tests of this run use.
//
// What is tested through the interface is tested on every engine: ctest runs such a program once
// per engine, with KVS_TEST_ENGINE set, and leaves out the cases of the suite "kvs only", which
// look inside the log.
#pragma once

#include <cstdlib>
#include <string>

namespace kvs::test {

inline std::string engine_under_test() {
  const char* const name = std::getenv("KVS_TEST_ENGINE");
  return name != nullptr ? name : "kvs";
}

inline bool testing_rocksdb() {
  return engine_under_test() == "rocksdb";
}

}  // namespace kvs::test

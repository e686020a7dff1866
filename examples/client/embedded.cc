// embedded.cc - the engine inside a program: prints the names of those it can open.
#include <cstdio>
#include <string>

#include "storage/options.h"

int main() {
  std::printf("%s\n", std::string(kvs::engine_names()).c_str());
  return 0;
}

// certificates.h - certificates of the tests' own, made once per program with `openssl` in a
// private directory.
//
// ca vouches for: server (127.0.0.1, kvs.test), client, elsewhere (another address and name) and
// expired (since yesterday, otherwise as server). other is a CA that vouches for stranger alone.
// Each is NAME.crt and NAME.key.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_dir.h"

namespace kvs::test {

class Certificates {
 public:
  // False: there is no openssl on this machine; the test says so and ends.
  static bool available();

  Certificates();
  std::string path(const std::string& name) const { return (dir_.path() / name).string(); }

 private:
  void make_ca(const std::string& name);
  void make(const std::string& name, const std::string& extensions, const std::string& ca = "ca",
            const std::string& days = "2");

  TempDir dir_;
};

const Certificates& certificates();

// Options of kvs-server, and of redis-server, for TLS on `port` with the certificate NAME.
std::vector<std::string> tls_arguments(std::uint16_t port, std::string_view authenticate = "no",
                                       const std::string& name = "server");

}  // namespace kvs::test

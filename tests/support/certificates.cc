#include "tests/support/certificates.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "tests/support/run_program.h"

namespace kvs::test {
namespace {

const std::filesystem::path program = "/usr/bin/openssl";

void openssl(std::vector<std::string> arguments) {
  const auto result = run_program({.program = program, .arguments = std::move(arguments)});
  if (result.exit_code != 0) throw std::runtime_error("openssl: " + result.err);
}

}  // namespace

bool Certificates::available() {
  return std::filesystem::exists(program);
}

Certificates::Certificates() {
  const std::string here = "subjectAltName=IP:127.0.0.1,DNS:kvs.test\n";
  make_ca("ca");
  make_ca("other");
  make("server", here);
  make("client", "keyUsage=digitalSignature\n");
  make("elsewhere", "subjectAltName=IP:10.9.8.7,DNS:elsewhere.test\n");
  make("expired", here, "ca", "-1");
  make("stranger", here, "other");
}

void Certificates::make_ca(const std::string& name) {
  openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
           "-days", "2", "-subj", "/CN=" + name, "-keyout", path(name + ".key"), "-out",
           path(name + ".crt")});
}

void Certificates::make(const std::string& name, const std::string& extensions,
                        const std::string& ca, const std::string& days) {
  openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
           "/CN=" + name, "-keyout", path(name + ".key"), "-out", path(name + ".csr")});
  std::ofstream(path(name + ".ext")) << extensions;
  openssl({"x509", "-req", "-days", days, "-in", path(name + ".csr"), "-CA", path(ca + ".crt"),
           "-CAkey", path(ca + ".key"), "-CAcreateserial", "-extfile", path(name + ".ext"), "-out",
           path(name + ".crt")});
}

const Certificates& certificates() {
  static const Certificates all;
  return all;
}

std::vector<std::string> tls_arguments(std::uint16_t port, std::string_view authenticate,
                                       const std::string& name) {
  return {"--tls-port",         std::to_string(port),
          "--tls-cert-file",    certificates().path(name + ".crt"),
          "--tls-key-file",     certificates().path(name + ".key"),
          "--tls-ca-cert-file", certificates().path("ca.crt"),
          "--tls-auth-clients", std::string(authenticate)};
}

}  // namespace kvs::test

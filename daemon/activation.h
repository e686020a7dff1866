// activation.h - listening sockets that the service manager has opened (sd_listen_fds(3)): it can
// then start the server without any right to open one, and hold connections while it restarts.
#pragma once

#include <string>
#include <vector>

#include "protocol/async/result.h"

namespace kvs::daemon {

struct PassedSocket {
  int fd;
  std::string name;     // FileDescriptorName= of its unit
  std::string address;  // for the log: "ip:port", or the path
};

// Returns the sockets that were passed to this process, none if that was not said; they do not
// block and are not inherited further. Once: they belong to the caller. Errors: invalid, when one
// is not a listening stream socket.
Result<std::vector<PassedSocket>> passed_sockets();

}  // namespace kvs::daemon

# install.cmake - the parts of an installation that depend on the prefix or on what is there already.
# Run by `cmake --install`, which sets CMAKE_INSTALL_PREFIX and leaves DESTDIR in the environment.
set(prefix "${CMAKE_INSTALL_PREFIX}")
if(prefix STREQUAL "/usr" OR prefix STREQUAL "/")
  set(etc "/etc")
else()
  set(etc "${prefix}/etc")
endif()

# The unit names the program and its config where they really are.
file(READ "${KVS_PACKAGING_DIR}/systemd/kvs.service" unit)
string(REPLACE "/usr/bin/kvs-server" "${prefix}/bin/kvs-server" unit "${unit}")
string(REPLACE "/etc/kvs/" "${etc}/kvs/" unit "${unit}")
set(unit_file "${prefix}/lib/systemd/system/kvs.service")
message(STATUS "Installing: $ENV{DESTDIR}${unit_file}")
file(WRITE "$ENV{DESTDIR}${unit_file}" "${unit}")

# What an operator may add to it.
file(INSTALL "${KVS_PACKAGING_DIR}/systemd/kvs.socket" DESTINATION "${prefix}/lib/systemd/system")
file(INSTALL "${KVS_PACKAGING_DIR}/systemd/no-network.conf" DESTINATION "${prefix}/share/doc/kvs")

# The config belongs to the operator once it is there.
if(EXISTS "$ENV{DESTDIR}${etc}/kvs/kvs.conf")
  message(STATUS "Keeping: $ENV{DESTDIR}${etc}/kvs/kvs.conf")
else()
  file(INSTALL "${KVS_PACKAGING_DIR}/kvs.conf" DESTINATION "${etc}/kvs")
endif()

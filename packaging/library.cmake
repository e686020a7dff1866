# library.cmake - installs what C++ programs link.
#
# The library: headers below include/kvs, so that their includes are those of this tree; static
# archives; a CMake package and a pkg-config file.
set(installed_targets kvs_async kvs_uv kvs_tls kvs_client kvs_storage)
foreach(target ${installed_targets})
  string(REPLACE "kvs_" "" name ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS kvs_async kvs_uv kvs_tls kvs_client EXPORT kvs-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kvs_storage EXPORT kvs-storage-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/protocol/async ${CMAKE_SOURCE_DIR}/protocol/uv
                  ${CMAKE_SOURCE_DIR}/protocol/tls ${CMAKE_SOURCE_DIR}/protocol/client
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kvs/protocol FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/storage
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kvs FILES_MATCHING PATTERN "*.h")
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kvs)
install(EXPORT kvs-targets NAMESPACE kvs:: DESTINATION ${package_dir})
install(EXPORT kvs-storage-targets NAMESPACE kvs:: DESTINATION ${package_dir})
include(CMakePackageConfigHelpers)
configure_package_config_file(kvs-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/kvs-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/kvs-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kvs-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/kvs-config-version.cmake
        DESTINATION ${package_dir})
configure_file(kvs-client.pc.in kvs-client.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kvs-client.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

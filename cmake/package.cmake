# What `./dev package` puts into a .deb, by CPack. Destinations are below the root of the file system, as Debian has them;
# `cmake --install` is not for users.
set(generated ${CMAKE_BINARY_DIR}/package)
set(packaging ${PROJECT_SOURCE_DIR}/packaging)

install(CODE "execute_process(COMMAND ${packaging}/generate.sh $<TARGET_FILE:polylog> ${generated}
                              COMMAND_ERROR_IS_FATAL ANY)")
foreach(page polylog polylog-stream polylog-group polylog-queue)
  install(FILES ${generated}/${page}.1.gz DESTINATION usr/share/man/man1)
endforeach()
install(TARGETS polylog RUNTIME DESTINATION usr/bin)
install(FILES ${generated}/polylog.toml DESTINATION etc/polylog)
install(FILES ${packaging}/polylog.service DESTINATION usr/lib/systemd/system)
install(FILES ${packaging}/polylog.sysusers DESTINATION usr/lib/sysusers.d RENAME polylog.conf)
install(FILES ${packaging}/debian/copyright README.md CHANGELOG.md DESTINATION usr/share/doc/polylog)
install(FILES docs/prometheus/alerts.yml docs/grafana/polylog.json DESTINATION usr/share/doc/polylog/examples)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME polylog)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the polylog authors <polylog@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "message queues and event streams for Kafka and AMQP 0-9-1 clients")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "One server in which message queues and event streams are the same thing.
Unmodified clients of Kafka and AMQP 0-9-1 work on the same streams and
queues, which are stored once, in a durable log.")
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "init-system-helpers (>= 1.52), passwd")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${packaging}/debian/postinst ${packaging}/debian/prerm ${packaging}/debian/postrm ${packaging}/debian/conffiles)
include(CPack)

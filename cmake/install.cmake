# What `cmake --install` puts where: the program, its recipes, its documents and its licence.

install(TARGETS hearth RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/hearth/recipes FILES_MATCHING PATTERN "*.yaml")
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES README.md README.zh-CN.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

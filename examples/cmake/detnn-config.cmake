# For find_package(detnn): the target detnn::detnn. Installed by make install into share/cmake/detnn.
if(NOT TARGET detnn::detnn)
  get_filename_component(detnn_include "${CMAKE_CURRENT_LIST_DIR}/../../../include" ABSOLUTE)
  add_library(detnn::detnn INTERFACE IMPORTED)
  set_target_properties(detnn::detnn PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${detnn_include}")
  unset(detnn_include)
endif()

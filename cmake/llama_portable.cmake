# Included by CMake at project(llama.cpp) when a wheel for other machines is built (`voicectl bundle build`).
include("${CMAKE_CURRENT_LIST_DIR}/llama_library_only.cmake")

# Paths of the building machine would differ from build to build; assertions carry them into the libraries.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${CMAKE_BINARY_DIR}=.")

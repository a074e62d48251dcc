# Included by CMake at project(llama.cpp). The Python binding forces the helper library for tools on;
# it is more than half of the compilation and nothing in the binding uses it.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "helpers of llama.cpp's own tools" FORCE)

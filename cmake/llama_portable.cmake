# Included by CMake at project(llama.cpp) when a wheel for other machines is built (`voicectl bundle build`).
include("${CMAKE_CURRENT_LIST_DIR}/llama_library_only.cmake")

# Paths of the building machine would differ from build to build; assertions carry them into the libraries.
foreach(folder IN ITEMS "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
    add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${folder}=.>"
                        "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-ffile-prefix-map=${folder}=.>")
endforeach()

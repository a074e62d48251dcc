# Included by CMake at project(llama.cpp) when a wheel for other machines is built (`voicectl bundle build`).
include("${CMAKE_CURRENT_LIST_DIR}/llama_library_only.cmake")

# Paths of the building machine would differ from build to build; assertions carry them into the libraries.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${CMAKE_BINARY_DIR}=.")

# With GGML_CPU_ALL_VARIANTS each kind of processor has a library of its own, which the binding does not install.
function(install_cpu_variants)
    foreach(kind haswell skylakex cannonlake cascadelake icelake cooperlake zen4 alderlake sapphirerapids)
        llama_cpp_python_install_target(ggml-cpu-${kind})
    endforeach()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL install_cpu_variants)

# Older processors than Haswell are refused by the installer: do not compile for them.
function(skip_old_processors)
    foreach(kind x64 sse42 sandybridge ivybridge piledriver)
        if(TARGET ggml-cpu-${kind})
            set_target_properties(ggml-cpu-${kind} PROPERTIES EXCLUDE_FROM_ALL TRUE)
        endif()
    endforeach()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL skip_old_processors)

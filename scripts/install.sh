#!/usr/bin/env bash
# Install a lock file and this checkout into a virtual environment.
# usage: install.sh PYTHON LOCK WHEEL_CACHE
# Packages that come as source are compiled once and kept in WHEEL_CACHE, outside the checkout.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
python=$1 lock=$here/$2 wheels=$3

say() { printf '==> %s\n' "$*"; }

# llama.cpp's AMX kernels crash on processors that have AMX (0.3.36, general protection fault at ldtilecfg)
# and switch its repacked ones off, which are as fast for models of this size.
llama_flags="-DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__ -DLLAVA_BUILD=OFF \
-DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF ${CMAKE_ARGS:-}"
llama_include=$here/cmake/llama_library_only.cmake

# Set `llama_wheel`, compiled now unless this processor has one of this version and recipe.
find_llama_wheel() {
    local version tag cpu recipe folder
    version=$(sed -n 's/^llama-cpp-python==\([^ ]*\).*/\1/p' "$lock")
    tag=$("$python" -c 'import platform; print(f"{platform.machine()}-glibc{platform.libc_ver()[1]}")')
    cpu=$(grep -m1 '^flags' /proc/cpuinfo 2>/dev/null | sha256sum | cut -c1-12)
    recipe=$(printf '%s' "$llama_flags" | cat - "$llama_include" | sha256sum | cut -c1-12)
    folder=$wheels/llama-$version-$tag-$cpu-$recipe
    if ! compgen -G "$folder/*.whl" >/dev/null; then
        compile_llama "$version" "$folder"
    fi
    llama_wheel=$(compgen -G "$folder/*.whl" | head -n 1)
}

compile_llama() {
    local version=$1 folder=$2 pin begun=$SECONDS job
    say "compiling llama-cpp-python $version for this processor (once; about two minutes on two cores)"
    pin=$(mktemp)
    # The hash of the source stays checked: take exactly this entry of the lock file.
    awk '/^llama-cpp-python==/ {on=1} on {print} on && !/\\$/ {exit}' "$lock" >"$pin"
    rm -rf "$folder.part"
    CMAKE_ARGS="-DCMAKE_PROJECT_llama.cpp_INCLUDE=$llama_include $llama_flags" \
        "$python" -m pip wheel --quiet --progress-bar off --no-deps --no-cache-dir --require-hashes \
        --no-binary llama-cpp-python -w "$folder.part" -r "$pin" &
    job=$!
    while kill -0 "$job" 2>/dev/null; do
        sleep 1
        if (((SECONDS - begun) % 15 == 0)); then say "  still compiling, $((SECONDS - begun)) s"; fi
    done
    wait "$job"
    rm -f "$pin"
    mkdir -p "$folder"
    mv "$folder.part"/*.whl "$folder/"
    rmdir "$folder.part"
    say "compiled in $((SECONDS - begun)) s, kept in $folder"
}

install_locked() {
    local rest
    rest=$(mktemp)
    awk '/^[a-zA-Z0-9]/ {on = !/^llama-cpp-python==/} on {print}' "$lock" >"$rest"
    say "installing $(grep -c '^[a-zA-Z0-9]' "$rest") locked packages ($lock)"
    "$python" -m pip install --quiet --progress-bar off --require-hashes --no-deps -r "$rest"
    rm -f "$rest"
}

begun_at=$SECONDS
# Unpacking waits for disk and network, compiling for the processor: do both at the same time.
install_locked &
installing=$!
find_llama_wheel
wait "$installing"
"$python" -m pip install --quiet --no-deps --force-reinstall "$llama_wheel"
say "installing voicectl from this checkout"
"$python" -m pip install --quiet --no-deps -e "$here"
say "installed in $((SECONDS - begun_at)) s"

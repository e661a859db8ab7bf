#!/usr/bin/env bash
# Fuzzes the entropy coder's C core for some seconds (60), from tests/fuzz/corpus.
#
#     tests/fuzz/run.sh [SECONDS]
#
# An input that fails is left in tests/crashes, where the test suite replays it from then on.
# Needs clang with libFuzzer; as root on Debian it is installed if missing, elsewhere without it
# nothing is fuzzed. New inputs that reach new code stay in OUT (out/fuzz).
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
out=${OUT:-out/fuzz}
mkdir -p "$out/corpus" tests/crashes

build() {
    clang -std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all tests/fuzz/fuzz_rans.c -o "$out/fuzz_rans"
}

if ! build 2>"$out/build.log"; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        (apt-get update -qq && apt-get install -y -qq --no-install-recommends \
            clang libclang-rt-14-dev) >"$out/apt.log" 2>&1 || true
    fi
    if ! command -v clang >/dev/null; then
        echo "fuzz: there is no clang; nothing was fuzzed" >&2
        exit 0
    fi
    build
fi
"$out/fuzz_rans" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -malloc_limit_mb=256 -print_final_stats=1 -verbosity=0 -artifact_prefix=tests/crashes/ \
    "$out/corpus" tests/fuzz/corpus
echo "fuzz: $seconds seconds, no input failed"

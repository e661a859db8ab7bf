#!/usr/bin/env bash
# Fuzzes the C code for some seconds (60): the entropy coder from tests/fuzz/corpus, the lossless
# coders of screens and photos, the linear one, those of overfitted pictures, arrays and weights
# (two), and the filter of pictures from nothing, each for its share of the time.
#
#     tests/fuzz/run.sh [SECONDS]
#
# An input that fails is left in tests/crashes, where the test suite replays it from then on.
# Needs clang with libFuzzer; as root on Debian it is installed if missing, elsewhere without it
# nothing is fuzzed. New inputs that reach new code stay in OUT (out/fuzz).
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$((${1:-60} / 10))
out=${OUT:-out/fuzz}
build() {
    clang -std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all "tests/fuzz/$1.c" -o "$out/$1" -lm
}

# TARGET FOLDER-FOR-CRASHES SEEDS…
fuzz() {
    build "$1"
    mkdir -p "$out/$1.corpus" "$2"
    "$out/$1" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
        -malloc_limit_mb=256 -print_final_stats=1 -verbosity=0 -artifact_prefix="$2/" \
        "$out/$1.corpus" "${@:3}"
}

mkdir -p "$out"
if ! build fuzz_rans 2>"$out/build.log"; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        (apt-get update -qq && apt-get install -y -qq --no-install-recommends \
            clang libclang-rt-14-dev) >"$out/apt.log" 2>&1 || true
    fi
    if ! command -v clang >/dev/null; then
        echo "fuzz: there is no clang; nothing was fuzzed" >&2
        exit 0
    fi
fi
fuzz fuzz_rans tests/crashes tests/fuzz/corpus
fuzz fuzz_screen tests/crashes/screen
fuzz fuzz_photo tests/crashes/photo
fuzz fuzz_linear tests/crashes/linear
fuzz fuzz_overfit tests/crashes/overfit
fuzz fuzz_field tests/crashes/field
fuzz fuzz_words tests/crashes/words
fuzz fuzz_cabac tests/crashes/cabac
fuzz fuzz_numbers tests/crashes/numbers
fuzz fuzz_wiener tests/crashes/wiener
echo "fuzz: $seconds seconds each, no input failed"

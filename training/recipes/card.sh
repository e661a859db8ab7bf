#!/usr/bin/env bash
# Minutes of a card with CUDA, used well: a bare machine with python3, torch and gcc, nothing installed.
#
#   training/recipes/card.sh pack FOLDER FILE…       here: parcels of FILE… of 48 MiB at most, to send
#   training/recipes/card.sh unpack FOLDER DATA      there: joins what came, as often as something comes
#   training/recipes/card.sh train RECIPE OUT [KEY=VALUE…]   there: weights and logs go to OUT each minute
#   training/recipes/card.sh check OUT               there: the tests marked gpu, exactness, times
#
# docs/training.md tells more. CARD_SECONDS (570) ends a training whatever happens.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
limit=${CARD_SECONDS:-570}

prepare() { # lictor importable from the checkout, and its coder
  make -s -C "$root" ide
  ln -sfn ../../checkpoints "$root/.ide/lictor/checkpoints"
  export PYTHONPATH="$root/.ide${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
  local suffix
  suffix=$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
  if [ ! -e "$root/entropy/_rans$suffix" ]; then
    gcc -std=c11 -O3 -shared -fPIC -DPy_LIMITED_API=0x030B0000 \
      -I"$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
      "$root/entropy/_rans.c" -o "$root/entropy/_rans$suffix" \
      || echo "no C coder: the Python one takes over" >&2
  fi
}

case "${1:-}" in
  pack)
    mkdir -p "$2"
    tar -C "$(dirname "$3")" -cf - $(basename -a "${@:3}") | split -b 48M -d -a 2 - "$2/part."
    ls -l "$2"
    ;;
  unpack)
    mkdir -p "$3"
    for part in "$2"/part.*; do mv "$part" "$3/"; done
    cat "$3"/part.* | tar -C "$3" -xf - 2> /dev/null || true # whole once the last part is there
    ;;
  train)
    prepare
    mkdir -p "$3"
    timeout --signal=INT --kill-after=20 "$limit" \
      python3 "$root/train.py" "$2" parcels="$3" out="${CARD_RUN:-/tmp/card-run}" "${@:4}" 2>&1 \
      | tee "$3/training.log"
    ;;
  check)
    prepare
    mkdir -p "$2"
    cd "$root"
    python3 -m pytest -q -m gpu tests 2>&1 | tee "$2/gpu-tests.log"
    python3 examples/on_a_gpu.py 2>&1 | tee "$2/exactness.log"
    ;;
  *)
    sed -n '2,9p' "$0"
    exit 2
    ;;
esac

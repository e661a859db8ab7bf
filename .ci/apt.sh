#!/usr/bin/env bash
# Installs what the tests need that pip does not have: a browser, and the colour profile of a press.
# Debian and Ubuntu, as root or with sudo.
set -euo pipefail
profile=/usr/share/color/icc/ghostscript/default_cmyk.icc
command -v chromium >/dev/null && command -v chromedriver >/dev/null && [ -e $profile ] && exit 0
sudo=""
if [ "$(id -u)" != 0 ]; then
    sudo="sudo -n"
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core libgs-common >/dev/null

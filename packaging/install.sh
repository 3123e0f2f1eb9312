#!/bin/sh
# Installs the programs in bin/, the units, the configuration and the manual of this folder:
#
#   sh install.sh [DESTDIR=DIR] [PREFIX=/usr/local] [SYSCONFDIR=/etc] [UNITDIR=$PREFIX/lib/systemd/system]
#
# DESTDIR stands in front of every path, for whoever builds an image or a package. Without it, this
# machine's service manager takes the units over, too. A configuration that exists is kept.
set -eu
cd "$(dirname "$0")"

DESTDIR= PREFIX=/usr/local SYSCONFDIR=/etc UNITDIR=
for setting; do
    case $setting in
        DESTDIR=*) DESTDIR=${setting#*=} ;;
        PREFIX=*) PREFIX=${setting#*=} ;;
        SYSCONFDIR=*) SYSCONFDIR=${setting#*=} ;;
        UNITDIR=*) UNITDIR=${setting#*=} ;;
        *)
            echo "install.sh: expected DESTDIR=, PREFIX=, SYSCONFDIR= or UNITDIR=, got $setting" >&2
            exit 64
            ;;
    esac
done
UNITDIR=${UNITDIR:-$PREFIX/lib/systemd/system}

# put MODE FOLDER FILE...: installs files under their own names.
put() {
    mode=$1 folder=$DESTDIR$2
    shift 2
    install -d -m 755 "$folder"
    install -m "$mode" "$@" "$folder"
}

# configuration FILE: installs a file below SYSCONFDIR, unless it is there.
configuration() {
    [ -e "$DESTDIR$SYSCONFDIR/$1" ] || put 644 "$SYSCONFDIR/$(dirname "$1")" "etc/$1"
}

put 755 "$PREFIX/sbin" bin/softsim-keyd bin/softsim-netd bin/softsim-bridge bin/softsim-anchord
put 755 "$PREFIX/bin" bin/softsimctl bin/softsim-issuer
put 644 "$UNITDIR" systemd/*.service systemd/*.socket systemd/*.target
put 644 "$PREFIX/lib/sysusers.d" systemd/sysusers.d/softsim.conf
put 644 "$PREFIX/lib/tmpfiles.d" systemd/tmpfiles.d/softsim.conf
put 644 "$PREFIX/lib/systemd/system-preset" systemd/system-preset/90-softsim.preset
for section in 1 5 8; do
    put 644 "$PREFIX/share/man/man$section" man/*."$section"
done
put 644 "$PREFIX/share/bash-completion/completions" completions/bash/*
put 644 "$PREFIX/share/zsh/site-functions" completions/zsh/*
put 644 "$PREFIX/share/fish/vendor_completions.d" completions/fish/*
for file in softsim/keyd.conf softsim/netd.toml softsim/bridge.conf softsim/anchord.conf; do
    configuration "$file"
done
if [ "$PREFIX" != /usr ]; then
    sed -i -E "s,=/usr/(s?bin)/,=$PREFIX/\1/," "$DESTDIR$UNITDIR"/softsim-*.service
fi

if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemd-sysusers "$PREFIX/lib/sysusers.d/softsim.conf"
    systemd-tmpfiles --create "$PREFIX/lib/tmpfiles.d/softsim.conf"
    systemctl daemon-reload
    echo "installed. Next: systemctl enable --now softsim-keyd.service softsim-netd.service"
fi

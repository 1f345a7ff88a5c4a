# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What every script of the project agrees on: where the checkout and the cache are, which
# kernel series is meant, and how a script says that it cannot go on. Sourced, never run.

# The one place that names the distribution and the kernel series.
# shellcheck disable=SC2034
{
	SIDE_SUITE=trixie
	SIDE_SERIES=7.3
	SIDE_FLAVOUR=amd64

	SIDE_CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
	SIDE_CACHE=${SIDE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/side}
	SIDE_ROOT=$SIDE_CACHE/root
	# Inside the build root: what scripts/setup has done, and the tree modules are built against.
	SIDE_STATE=$SIDE_ROOT/var/lib/side
	SIDE_TREE=/usr/src/side-kernel
}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

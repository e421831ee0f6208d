#!/bin/sh
# bench.sh --gcc gcc-12 --plugin DIR/umbel_gcc12.so --include DIR --lib DIR
# --include: of umbel_abi.h; --lib: of libumbel.so and umbel_crt.o.
# One line per loop: nanoseconds per iteration, plain and through the plugin.  The same instructions run up to 1.6
# times slower or faster with the address of the loop, so each build is made with five code alignments
# and the least of each counts.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
gcc=gcc-12 plugin= include=$here/../../runtime/include lib=
while [ $# -gt 0 ]; do
	case $1 in
	--gcc) gcc=$2 ;;
	--plugin) plugin=$(realpath "$2") ;;
	--include) include=$(realpath "$2") ;;
	--lib) lib=$(realpath "$2") ;;
	*) echo "bench.sh: no such option: $1" >&2; exit 2 ;;
	esac
	shift 2
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=$(basename "$plugin" .so)
for level in -O2 -O3; do
	for align in 1 16 32 48 64; do
		flags="-w $level -falign-functions=64 -falign-loops=$align"
		"$gcc" $flags "$here/bench.c" -o "$work/plain"
		"$gcc" $flags -fplugin="$plugin" -fplugin-arg-"$name"-all -include "$include/umbel_abi.h" "$here/bench.c" \
			-o "$work/objects" "$lib/umbel_crt.o" -L"$lib" -lumbel -Wl,-rpath,"$lib"
		for pass in 1 2; do
			"$work/plain" | sed 's/^/plain /' >>"$work/times$level"
			"$work/objects" | sed 's/^/objects /' >>"$work/times$level"
		done
	done
	awk -v level=$level '
		{ key = $1 " " $2; if (!(key in least) || $3 < least[key]) least[key] = $3
		  if (!($2 in seen)) { seen[$2] = 1; order[++count] = $2 } }
		END { printf "%-4s %-10s %9s %9s %7s\n", level, "loop", "plain ns", "objects", "ratio"
		      for (i = 1; i <= count; i++) { n = order[i]; p = least["plain " n]; o = least["objects " n]
			printf "     %-10s %9.4f %9.4f %7.3f\n", n, p, o, o / p } }' "$work/times$level"
done

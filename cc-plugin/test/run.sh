#!/bin/sh
# The plugin's own tests, against the runtime double (double.c):
#   run.sh --gcc gcc-12 --plugin DIR/umbel_gcc12.so --include DIR-of-umbel_abi.h --crt DIR/umbel_crt.o
# Prints what fails; last line "N passed, N failed"; status 1 on failures.
set -u
here=$(cd "$(dirname "$0")" && pwd)
gcc=gcc-12 plugin= include=$here/../../runtime/include crt= only=
while [ $# -gt 0 ]; do
	case $1 in
	--gcc) gcc=$2 ;;
	--plugin) plugin=$(realpath "$2") ;;
	--include) include=$(realpath "$2") ;;
	--crt) crt=$(realpath "$2") ;;
	--only) only=$2 ;;
	*) echo "run.sh: no such option: $1" >&2; exit 2 ;;
	esac
	shift 2
done
[ -n "$plugin" ] && [ -n "$crt" ] || { echo "run.sh: --plugin and --crt are needed" >&2; exit 2; }
name=$(basename "$plugin" .so)
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
export LC_ALL=C UMBEL_DOUBLE_STRICT=1
# cargo's would come before the programs' own path, and has the real libumbel.
unset LD_LIBRARY_PATH
passed=0 failed=0

pass() { passed=$((passed + 1)); }
fail() { # what, file with details
	failed=$((failed + 1))
	echo "FAIL $1"
	[ $# -lt 2 ] || sed -n '1,8s/^/  | /p' "$2"
}
wanted() { case $1 in *"$only"*) true ;; *) false ;; esac; }

"$gcc" -O2 -g -fPIC -shared -Wall -I"$include" -o "$work/libumbel.so" "$here/double.c" -pthread || exit 2
umbel="$gcc -fplugin=$plugin -include $include/umbel_abi.h -I$include"
link="$crt -L$work -lumbel -Wl,-rpath,$work -pthread"

# build_and_run NAME OPTIONS...: compiles one self-checking test, runs it, looks at its stack.
build_and_run() {
	test=$1
	shift
	wanted "$test $*" || return 0
	if ! $umbel "$@" "$here/$test.c" -o "$work/$test" $link >"$work/log" 2>&1; then
		fail "$test $*: does not compile" "$work/log"
		return 0
	fi
	(cd "$work" && timeout 120 "./$test") >"$work/log" 2>&1 # there -pg writes its gmon.out
	status=$?
	if [ $status -ne 0 ]; then
		fail "$test $*: status $status" "$work/log"
	elif ! readelf -lW "$work/$test" | grep -q 'GNU_STACK.* RW '; then
		fail "$test $*: executable stack"
	else
		pass
	fi
}

all="-fplugin-arg-$name-all"
for test in captures control threads aliases sharing tables voidmain atomics; do
	for level in -O0 -O1 -O2 -O3 -Os -Og; do
		build_and_run $test -w $level
		build_and_run $test -w -g $level -Wl,-z,noexecstack
	done
done
for test in captures control threads aliases atomics; do
	for level in -O0 -O1 -O2 -O3; do
		build_and_run $test -w $level "$all"
	done
	for options in "-flto -O2" "-flto -O0" "-fPIC -fno-plt" "-no-pie -O2" \
		"-fcf-protection=full -fstack-protector-all -O2" "-fcf-protection=full -fstack-protector-all -O0" \
		"-finstrument-functions -O2" "-fexceptions -O2" \
		"-fsanitize=undefined -O0" "-fsanitize=undefined -O2" "-fsanitize=address -O0" "-fsanitize=address -O2" \
		"-ffunction-sections -fdata-sections -Wl,--gc-sections -O2" "-fwhole-program -O3" "-O3 -march=native" \
		"-O2 -fno-strict-aliasing" "-O2 -fno-inline" "-O3 -funroll-all-loops -fsplit-loops -floop-interchange" \
		"-O2 -fprofile-generate -fprofile-update=atomic" "-pg -O1" "-O2 -g3 -gdwarf-4 -fvar-tracking-assignments" \
		"-O2 -fno-omit-frame-pointer -fstack-clash-protection" "-O2 -std=gnu11 -fgnu89-inline"; do
		build_and_run $test -w $options
	done
done

# Globals: two units that share them; then the other tests with their globals shared.
share="-fplugin-arg-$name-share-globals"
for options in -O0 -O1 -O2 -O3 -Os "-g -Og" "-O2 -flto" "-O2 -fPIC" "-O2 -no-pie" "-O2 -fsanitize=address" \
	"-O2 -fsanitize=undefined" "-O2 -fno-toplevel-reorder" "-O0 -fkeep-static-functions" "-O2 -fdata-sections" \
	"-O3 -fwhole-program -flto" "-O2 -fsection-anchors" "-O2 -fcommon"; do
	build_and_run globals -w $options "$share" "$here/globals_other.c"
done
for test in captures control threads aliases atomics; do
	for level in -O0 -O2 -O3; do
		build_and_run $test -w $level "$share"
	done
done

# A unit that knows nothing of a shared global does not link with one that shares it.
if wanted globals-disagree; then
	$umbel -w "$share" -c "$here/globals.c" -o "$work/globals.o" && $umbel -w -c "$here/globals_other.c" \
		-o "$work/globals_other.o" && $umbel "$work/globals.o" "$work/globals_other.o" $link -o "$work/globals" \
		>"$work/log" 2>&1
	[ $? -ne 0 ] && grep -q 'undefined reference to `umbel.global.other' "$work/log" \
		&& grep -q 'undefined reference to `counter' "$work/log" && pass || fail globals-disagree "$work/log"
fi

# C++ has no nested functions, but the attribute, if there is a compiler of this version.
cxx=$(echo "$gcc" | sed 's/gcc/g++/')
if wanted marked.cc && command -v "$cxx" >/dev/null; then
	for level in -O0 -O1 -O2 -O3; do
		$cxx -fplugin="$plugin" -include "$include/umbel_abi.h" -I"$include" $level "$here/marked.cc" \
			-o "$work/marked" $link >"$work/log" 2>&1 && "$work/marked" >>"$work/log" 2>&1 \
			&& pass || fail "marked.cc $level" "$work/log"
	done
fi

# sharing.c: the report names the lines that say "sharable", and no others.
if wanted sharing-report; then
	grep -n 'sharable \*/' "$here/sharing.c" | cut -d: -f1 >"$work/expected"
	$umbel -w "-fplugin-arg-$name-report" -c "$here/sharing.c" -o "$work/sharing.o" 2>&1 \
		| sed -n 's/.*sharing\.c:\([0-9]*\):.*is a sharable object.*/\1/p' | sort -n >"$work/got"
	if diff "$work/expected" "$work/got" >"$work/log"; then pass; else fail "sharing-report" "$work/log"; fi
fi

# refused/: the first line of each file is the diagnostic to expect.
for file in "$here"/refused/*.c; do
	wanted "refused $file" || continue
	expected=$(sed -n '1s,^/\* \(.*\) \*/$,\1,p' "$file")
	options=$(sed -n "2s,^/\\* options: \\(.*\\) \\*/\$,\\1,p" "$file" | sed "s/PLUGIN/$name/")
	compiler=$umbel
	case $options in *-DWITHOUT*) compiler="$gcc -fplugin=$plugin" ;; esac
	$compiler $options -c "$file" -o "$work/refused.o" >"$work/log" 2>&1
	status=$?
	count=$(grep -cF -- "$expected" "$work/log")
	case $expected in
	error:*) [ $status -ne 0 ] && [ "$count" = 1 ] ;;
	*) [ $status -eq 0 ] && [ "$count" = 1 ] ;;
	esac && pass || fail "refused $(basename "$file"): status $status, expected once: $expected" "$work/log"
done
if wanted refused-option; then
	echo 'int x;' >"$work/x.c"
	$umbel "-fplugin-arg-$name-nonsense" -c "$work/x.c" -o "$work/x.o" >"$work/log" 2>&1
	grep -q "umbel: unknown option 'nonsense'" "$work/log" \
		&& pass || fail refused-option "$work/log"
fi
# Another gcc, if there is one, is told that the plugin is not for it.
if wanted refused-version; then
	for other in gcc-9 gcc-10 gcc-11 gcc-12 gcc-13 gcc-14; do
		[ "$($other -dumpfullversion 2>/dev/null)" != "$($gcc -dumpfullversion)" ] || continue
		command -v $other >/dev/null || continue
		echo 'int x;' >"$work/x.c"
		$other -fplugin="$plugin" -c "$work/x.c" -o "$work/x.o" >"$work/log" 2>&1
		grep -q "umbel: this plugin was built for gcc .*, this is gcc" "$work/log" \
			&& pass || fail "refused-version $other" "$work/log"
	done
fi

# A module of its own in a shared object, linked and loaded.
if wanted module; then
	for level in -O0 -O2; do
		$umbel -w $level -fPIC -shared "$here/module.c" -o "$work/libmodule.so" $link >"$work/log" 2>&1 \
			&& $umbel -w $level "$here/loader.c" -o "$work/loader" -L"$work" -lmodule $link >>"$work/log" 2>&1 \
			&& "$work/loader" >>"$work/log" 2>&1 \
			&& pass || fail "module linked $level" "$work/log"
		$umbel -w $level "$here/loader.c" -o "$work/loader" $link -ldl >"$work/log" 2>&1 \
			&& "$work/loader" "$work/libmodule.so" >>"$work/log" 2>&1 \
			&& pass || fail "module loaded $level" "$work/log"
	done
fi

# gdb prints captured variables by name, in the nested function and in the owner.  (At -O2 plain gcc can't either.)
if wanted gdb; then
	for level in -O0 -Og; do
		$umbel -w -g $level "$here/debug.c" -o "$work/debug" $link >"$work/log" 2>&1
		gdb -batch -nx -ex 'break stop' -ex run -ex up -ex 'print array' -ex 'print scale' -ex 'print parameter' \
			-ex 'print vla[0]' -ex up -ex 'print array' -ex 'print scale' -ex 'print parameter' \
			-ex 'print vla[0]' "$work/debug" 2>&1 </dev/null | sed -n 's/^\$[0-9]* = //p' >"$work/got"
		printf '%s\n' '{1, 5, 3}' 3 6 10 '{1, 5, 3}' 3 6 10 >"$work/expected"
		diff "$work/expected" "$work/got" >"$work/log" && pass || fail "gdb $level" "$work/log"
	done
fi

# Each loop of bench.c that plain gcc vectorizes is vectorized with objects too.
if wanted vectorized; then
	for level in -O2 -O3; do
		for compiler in "$gcc -include $include/umbel_abi.h" "$umbel $all"; do
			$compiler -w $level -fopt-info-vec -c "$here/bench.c" -o "$work/bench.o" 2>&1 \
				| sed -n 's/.*bench\.c:\([0-9]*\):.*loop vectorized.*/\1/p' | sort -un \
				>"$work/got"
			[ "$compiler" = "$umbel $all" ] || mv "$work/got" "$work/expected"
		done
		lost=$(grep -vxFf "$work/got" "$work/expected" | tr '\n' ' ')
		# gcc 11 vectorizes nothing at -O2.
		[ -s "$work/expected" -o $level = -O2 ] && [ -z "$lost" ] \
			&& pass || fail "vectorized $level: not any more, bench.c lines $lost"
	done
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]

# For the shell under test: what forks, execs, traps and redirects.
count=0
for word in $(printf '%s\n' c a b | sort); do count=$((count + 1)); echo "$count: $word"; done
( echo in a subshell; exit 3 ) || echo "status $?"
echo piped | while read -r line; do echo "read $line"; done | tr a-z A-Z
twice() { if [ "$1" -gt 0 ]; then twice $(($1 - 1)); twice $(($1 - 1)); else printf .; fi; }
twice 5; echo
trap 'echo trapped' USR1; kill -USR1 $$; trap - USR1
sh_within=$(eval 'echo $((6 * 7))'); echo "within $sh_within"
case abc in (a*c) echo matches;; esac
( sleep 0 & wait ); cat <<END
here $count
END
set -- one two three; shift; echo "$# $1"
exec /bin/echo replaced

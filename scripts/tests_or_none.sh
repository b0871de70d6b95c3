#!/bin/sh
# Run pytest; when it collected nothing (exit code 5) say so and succeed, since there was nothing to fail.
"$@"
code=$?
if [ "$code" -eq 5 ]; then
	echo "no tests carry this mark yet: nothing was run, nothing was proved"
	exit 0
fi
exit "$code"

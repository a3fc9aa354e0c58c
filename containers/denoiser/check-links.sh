#!/bin/sh
# Ends with 1, and says why, unless this system has every library that a library needs.
#     check-links.sh LIBRARY [OPENED...]
# OPENED: names of libraries that it opens while it runs, such as libcudnn.so.9.
set -eu

# Comes with the driver of the machine, when the container is started.
DRIVER=libcuda.so.1

library=$1
shift
missing=$(ldd "$library" | awk -v driver="$DRIVER" '/not found/ && $1 != driver { print $1 }')
known=$(ldconfig -p)
for opened in "$@"; do
  case "$known" in
    *"$opened "*) ;;
    *) missing="$missing $opened" ;;
  esac
done
if [ -n "$missing" ]; then
  echo "$library needs what this system lacks:" $missing >&2
  exit 1
fi

#!/bin/bash
# Said once for a blank volume, by a person:
#   meridian-first-start new    the journal is new: this replica has never promised anything and may vote
#   meridian-first-start lost   the journal exists and this volume replaces a lost one: the replica
#                               recovers from both others before it votes
set -euo pipefail
root=${MERIDIAN_ROOT:-}
source "$root/etc/meridian/member.env"
source "$root/etc/meridian/setup.env"

directory=$root/var/lib/meridian/$JOURNAL
if ! mountpoint -q "$root/var/lib/meridian"; then
  echo "the volume is not mounted yet; see systemctl status meridian-setup" >&2
  exit 1
fi
if [ -e "$directory" ]; then
  echo "$directory exists: there is nothing to decide" >&2
  exit 1
fi
case ${1:-} in
  new)
    runuser -u meridian -- /usr/bin/node /opt/meridian/current/dist/services/journal/main.js \
      format --config "/etc/meridian/journal-$JOURNAL.yaml"
    ;;
  lost) install -d -m 0700 -o meridian -g meridian "$directory" ;;
  *)
    echo "usage: meridian-first-start new|lost" >&2
    exit 64
    ;;
esac
systemctl start "$UNIT"

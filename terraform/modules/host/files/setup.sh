#!/bin/bash
# Runs every step in order, then the service. The first step that fails ends it; systemd tries again.
set -euo pipefail

for step in /usr/local/lib/meridian/setup.d/*; do
  echo "setup: ${step##*/}"
  "$step"
done
systemctl daemon-reload
systemctl enable "$UNIT"
# Not waited for: the unit is ordered after this one.
systemctl start --no-block "$UNIT"

#!/bin/bash
# Every minute: tells CloudWatch what the alarms look at. One report that fails does not keep the others.
set -uo pipefail

status=0
for report in /usr/local/lib/meridian/report.d/*; do
  "$report" || status=1
done
exit "$status"

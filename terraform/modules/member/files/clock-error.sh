#!/bin/bash
# Reports how wrong this host's clock can be, from chrony: |offset| + root delay / 2 + root dispersion.
# An unsynchronised clock reports nothing, and the alarm treats that as a breach.
set -euo pipefail

tracking=$(chronyc -c tracking)
bound_ms=$(awk -F, '$14 != "Not synchronised" {
  offset = $5 < 0 ? -$5 : $5
  printf "%.3f", 1000 * (offset + $11 / 2 + $12)
}' <<<"$tracking")
[ -n "$bound_ms" ] || { echo "the clock is not synchronised" >&2; exit 1; }
aws cloudwatch put-metric-data --namespace Meridian --metric-name ClockErrorBound \
  --unit Milliseconds --value "$bound_ms" --dimensions "AutoScalingGroupName=$HOST_GROUP"

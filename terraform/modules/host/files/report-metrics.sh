#!/bin/bash
# The metrics named in reported-metrics (name and min or max), out of the service's own /metrics; of one
# with several labels the smallest or the largest value. What is not there is not reported: alarms for
# which silence is the fault treat it so.
set -euo pipefail
root=${MERIDIAN_ROOT:-}

data=$(curl -fsS --max-time 5 http://127.0.0.1:7480/metrics |
  awk -v group="$HOST_GROUP" '
    NR == FNR { pick[$1] = $2; next }
    /^#/ { next }
    {
      name = $1
      sub(/\{.*/, "", name)
      if (!(name in pick) || $NF !~ /^[-+0-9.eE]+$/) next
      value = $NF + 0
      if (!(name in seen) || (pick[name] == "min" ? value < best[name] : value > best[name])) best[name] = value
      seen[name] = 1
    }
    END {
      for (name in seen) {
        printf "%s{\"MetricName\":\"%s\",\"Value\":%.6f,\"Dimensions\":[{\"Name\":\"AutoScalingGroupName\",\"Value\":\"%s\"}]}", separator, name, best[name], group
        separator = ","
      }
    }' "$root/etc/meridian/reported-metrics" -)
[ -n "$data" ] || exit 0
aws cloudwatch put-metric-data --namespace Meridian --metric-data "[$data]"

#!/bin/bash
# What the release needs of Amazon Linux 2023, and the agent that ships logs and metrics.
set -euo pipefail

if ! rpm --quiet -q nodejs24 amazon-cloudwatch-agent jq; then
  dnf install -y -q nodejs24 amazon-cloudwatch-agent jq
fi
id meridian >/dev/null 2>&1 || useradd --system --home-dir /var/lib/meridian --no-create-home --shell /sbin/nologin meridian
install -d -m 0750 -o meridian -g meridian /var/log/meridian
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl \
  -a fetch-config -m ec2 -s -c file:/etc/meridian/cloudwatch-agent.json

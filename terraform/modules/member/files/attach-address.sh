#!/bin/bash
# Attaches the network interface with the member's fixed address, found by tag. One that a predecessor
# still holds is left to it: the step fails and is tried again until that host is gone.
set -euo pipefail
source "${MERIDIAN_ROOT:-}/etc/meridian/member.env"

metadata() {
  local token
  token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
  curl -fsS -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}

self=$(metadata instance-id)
found=$(aws ec2 describe-network-interfaces --filters "Name=tag:meridian:member,Values=$MEMBER" --output json)
if [ "$(jq '.NetworkInterfaces | length' <<<"$found")" != 1 ]; then
  echo "expected exactly one network interface tagged meridian:member=$MEMBER" >&2
  exit 1
fi
interface=$(jq -r '.NetworkInterfaces[0].NetworkInterfaceId' <<<"$found")
holder=$(jq -r '.NetworkInterfaces[0].Attachment.InstanceId // ""' <<<"$found")
if [ "$holder" != "$self" ]; then
  aws ec2 attach-network-interface --network-interface-id "$interface" --instance-id "$self" --device-index 1
fi

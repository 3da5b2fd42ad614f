#!/bin/bash
# Attaches and mounts the member's volume, found by tag. One that a predecessor still holds is never
# taken by force: the step fails and is tried again until that host is gone. A blank volume gets a file
# system; whether the journal on it is new is for a person to say (meridian-first-start).
set -euo pipefail
root=${MERIDIAN_ROOT:-}
source "$root/etc/meridian/member.env"
directory=$root/var/lib/meridian

metadata() {
  local token
  token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
  curl -fsS -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}

self=$(metadata instance-id)
found=$(aws ec2 describe-volumes --filters "Name=tag:meridian:member,Values=$MEMBER" --output json)
if [ "$(jq '.Volumes | length' <<<"$found")" != 1 ]; then
  echo "expected exactly one volume tagged meridian:member=$MEMBER" >&2
  exit 1
fi
volume=$(jq -r '.Volumes[0].VolumeId' <<<"$found")
holder=$(jq -r '.Volumes[0].Attachments[0].InstanceId // ""' <<<"$found")
if [ "$holder" != "$self" ]; then
  aws ec2 attach-volume --volume-id "$volume" --instance-id "$self" --device /dev/sdf
fi

device=$root/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume/-/}
for _ in $(seq 60); do
  [ -e "$device" ] && break
  sleep 1
done
[ -e "$device" ] || { echo "$device has not appeared" >&2; exit 1; }

# blkid: 0 a file system is there, 2 nothing is recognised; anything else is no reason to make one.
status=0
blkid "$device" >/dev/null || status=$?
case $status in
  0) ;;
  2) mkfs.xfs -q -L meridian "$device" ;;
  *) echo "blkid $device failed with $status" >&2; exit 1 ;;
esac
mkdir -p "$directory"
mountpoint -q "$directory" || mount -o noatime "$device" "$directory"
xfs_growfs "$directory" >/dev/null
chown meridian:meridian "$directory"
chmod 0700 "$directory"

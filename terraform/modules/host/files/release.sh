#!/bin/bash
# Installs the release named in setup.env beside older ones, if its hash is the promised one.
set -euo pipefail

root=${MERIDIAN_ROOT:-}
target="$root/opt/meridian/$ARTIFACT_SHA256"
if [ ! -d "$target" ]; then
  mkdir -p "$root/opt/meridian"
  work=$(mktemp -d "$root/opt/meridian/.incoming.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  case $ARTIFACT_URL in
    s3://*) aws s3 cp --only-show-errors "$ARTIFACT_URL" "$work/release.tar.gz" ;;
    *) curl --fail --silent --show-error --location --proto '=https' --output "$work/release.tar.gz" "$ARTIFACT_URL" ;;
  esac
  echo "$ARTIFACT_SHA256  $work/release.tar.gz" | sha256sum --check --quiet
  mkdir "$work/release"
  tar -xzf "$work/release.tar.gz" -C "$work/release" --strip-components=1 --no-same-owner
  chmod 0755 "$work/release"
  mv "$work/release" "$target"
fi
ln -sfn "$ARTIFACT_SHA256" "$root/opt/meridian/current"
install -D -m 0644 -t "$root/etc/systemd/system" "$root"/opt/meridian/current/systemd/*.service

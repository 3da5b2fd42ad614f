#!/bin/bash
# Fetches this host group's certificate, key and authorities. The service looks at the files at every new
# connection, so a renewed secret counts without a restart; a half-written pair leaves the old in force.
set -euo pipefail
root=${MERIDIAN_ROOT:-}
[ -n "${CERTIFICATE_SECRET:-}" ] || source "$root/etc/meridian/setup.env"
target=$root/etc/meridian/tls

umask 077
install -d -m 0755 "$target"
secret=$(aws secretsmanager get-secret-value --region "$AWS_REGION" --secret-id "$CERTIFICATE_SECRET" \
  --query SecretString --output text)
for part in ca certificate key; do
  jq -er --arg part "$part" '.[$part]' <<<"$secret" >"$target/$part.pem.new"
done
chown meridian:meridian "$target"/*.pem.new
for part in ca certificate key; do
  if cmp -s "$target/$part.pem.new" "$target/$part.pem"; then rm "$target/$part.pem.new"; else
    mv "$target/$part.pem.new" "$target/$part.pem"
  fi
done

#!/bin/bash
# Makes the sidecar's connection string of the secret {"username", "password"}, readable by root alone.
# TLS with a verified certificate; the authorities are those of certificates.pem.
set -euo pipefail
root=${MERIDIAN_ROOT:-}
source "$root/etc/meridian/postgres.env"

install -d -m 0700 "$root/run/meridian"
umask 077
secret=$(aws secretsmanager get-secret-value --region "$AWS_REGION" --secret-id "$POSTGRES_SECRET_ARN" \
  --query SecretString --output text)
account=$(jq -er '(.username | @uri) + ":" + (.password | @uri)' <<<"$secret")
{
  echo "MERIDIAN_POSTGRES=postgres://$account@$POSTGRES_HOST:$POSTGRES_PORT/$POSTGRES_DATABASE?sslmode=verify-full"
  echo "NODE_EXTRA_CA_CERTS=/etc/meridian/certificates.pem"
} >"$root/run/meridian/sidecar.env.new"
mv "$root/run/meridian/sidecar.env.new" "$root/run/meridian/sidecar.env"

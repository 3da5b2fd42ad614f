#!/bin/bash
# Before each start of the service, as its user: fetches the keys of the archives, wrapped, and has KMS unwrap each,
# into a file in memory that only this user may read. A line is the key's id and what
# `aws kms generate-data-key-without-plaintext` made of it. When AWS does not answer, a service that was there before
# goes on with the keys it had.
set -euo pipefail
root=${MERIDIAN_ROOT:-}
[ -n "${ARCHIVE_KEYS_SECRET:-}" ] || source "$root/etc/meridian/setup.env"
target=${RUNTIME_DIRECTORY:?systemd says where}/keys

umask 077
unwrap() {
  local wrapped id ciphertext key
  wrapped=$(aws secretsmanager get-secret-value --region "$AWS_REGION" --secret-id "$ARCHIVE_KEYS_SECRET" \
    --query SecretString --output text) || return 1
  while read -r id ciphertext; do
    [ -n "$id" ] || continue
    key=$(aws kms decrypt --region "$AWS_REGION" --encryption-context "$ARCHIVE_KEYS_CONTEXT" \
      --cli-binary-format base64 --ciphertext-blob "$ciphertext" --query Plaintext --output text) || return 1
    echo "$id $(tr '+/' '-_' <<<"${key%%=*}")"
  done <<<"$wrapped"
}

if unwrap >"$target.new" && [ -s "$target.new" ]; then
  mv "$target.new" "$target"
elif [ -s "$target" ]; then
  rm "$target.new"
  echo "the keys of the archives could not be fetched: those of the last start stay" >&2
else
  rm "$target.new"
  echo "the keys of the archives could not be fetched from $ARCHIVE_KEYS_SECRET" >&2
  exit 1
fi

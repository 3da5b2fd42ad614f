#!/bin/bash
# chrony follows Amazon Time Sync as Amazon Linux ships it; this adds the report of its error bound.
set -euo pipefail

systemctl is-active --quiet chronyd
cat >/etc/systemd/system/meridian-clock.service <<'UNIT'
[Unit]
Description=Report the error bound of the clock

[Service]
Type=oneshot
EnvironmentFile=/etc/meridian/setup.env
ExecStart=/usr/local/lib/meridian/clock-error
UNIT
cat >/etc/systemd/system/meridian-clock.timer <<'UNIT'
[Unit]
Description=Report the error bound of the clock

[Timer]
OnBootSec=60
OnUnitActiveSec=60

[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl enable --now meridian-clock.timer

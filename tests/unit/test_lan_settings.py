"""What a site file says of the secrets of a LAN of miners, and what a guard is told of it."""

from __future__ import annotations

from pathlib import Path

from scheduler.equipment import Miners
from scheduler.wire import dumps
from workers.fleet.config import Firmware, LanConfig, Secret
from workers.wire import decode

STATE = Path("/var/lib/barq")


def test_relative_files_are_below_the_state_directory() -> None:
    """Whole paths stay, and so do variables; a guard runs anywhere, so it is told the whole path."""
    credentials = {
        "braiins": {"user": "root", "password_file": "secrets/braiins"},
        "whatsminer-v2": {"password_file": "/etc/barq/whatsminer"},
        "whatsminer-v3": {"password_env": "WHATSMINER"},
    }
    lan = {"addresses": ["10.20.0.7"], "credentials": credentials}
    miners = Miners.model_validate({"name": "hall", "max_w": 3400, "simulated": False, "lan": lan})
    told = decode(LanConfig, dumps(miners.lan_config(STATE))).credentials
    assert told == {
        Firmware.BRAIINS: Secret(user="root", password_file="/var/lib/barq/secrets/braiins"),  # noqa: S106
        Firmware.WHATSMINER_V2: Secret(password_file="/etc/barq/whatsminer"),  # noqa: S106
        Firmware.WHATSMINER_V3: Secret(password_env="WHATSMINER"),  # noqa: S106
    }

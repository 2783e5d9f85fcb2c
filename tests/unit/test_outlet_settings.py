"""PDUs in a site file: what a guard is told of them, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from scheduler.core.obedience import Rules
from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import Feed, Outlets, RedfishPdu, SecretPlace, SimulatedPdu, SnmpPdu
from scheduler.outlet_settings import OutletSettings
from workers.wire import decode, encode

SITE = """
pdus:
  - {name: pdu-a, type: snmp, host: 10.0.0.9, make: raritan, version: 3, user: barq,
     auth_key_file: secrets/auth, priv_key_env: PDU_PRIV}
  - {name: pdu-b, type: redfish, url: "https://10.0.0.10/", rack_pdu: A, username_env: PDU_USER,
     password_file: /etc/barq/pdu, pinned_file: pdu-b.pem}
  - {name: pdu-c, type: simulated}
feeds:
  10.1.0.7: pdu-a/1.7
  10.1.0.8: pdu-b/AA26
  10.1.0.9: pdu-c/1
min_off_s: 600
most_on_per_day: 2
"""
SNMP = {
    "name": "pdu-a",
    "type": "snmp",
    "host": "10.0.0.9",
    "make": "apc",
    "version": "2c",
    "community_env": "COMMUNITY",
}
V3 = {
    "name": "pdu-a",
    "type": "snmp",
    "host": "10.0.0.9",
    "make": "apc",
    "user": "barq",
    "auth_key_env": "AUTH",
    "priv_key_env": "PRIV",
}
REDFISH = {"name": "pdu-b", "type": "redfish", "url": "https://10.0.0.10"}
TABLE: dict[str, Any] = {
    "state_oid": "1.3.6.1.4.1.9.{outlet}",
    "on_states": [1],
    "off_states": [0],
    "switch_oid": "1.3.6.1.4.1.9.2.{outlet}",
    "on_value": 1,
    "off_value": 0,
}


def plain(**said: Any) -> Outlets:
    """What a guard is told of a site file that says this."""
    return OutletSettings.model_validate(said).plain(Path("/etc/barq"))


def test_a_guard_is_told_places_of_secrets_and_all_else() -> None:
    """Relative files are below the site file's folder, and no secret is read."""
    told = plain(**yaml.safe_load(SITE))

    assert told == Outlets(
        pdus=(
            SnmpPdu(
                name="pdu-a",
                host="10.0.0.9",
                table=TABLES["raritan"],
                user="barq",
                auth_key=SecretPlace(file="/etc/barq/secrets/auth"),
                priv_key=SecretPlace(env="PDU_PRIV"),
            ),
            RedfishPdu(
                name="pdu-b",
                url="https://10.0.0.10",
                rack_pdu="A",
                username=SecretPlace(env="PDU_USER"),
                password=SecretPlace(file="/etc/barq/pdu"),
                pinned_file="/etc/barq/pdu-b.pem",
            ),
            SimulatedPdu(name="pdu-c"),
        ),
        feeds=(
            Feed(machine="10.1.0.7", pdu="pdu-a", outlet="1.7"),
            Feed(machine="10.1.0.8", pdu="pdu-b", outlet="AA26"),
            Feed(machine="10.1.0.9", pdu="pdu-c", outlet="1"),
        ),
        rules=Rules(min_off_s=600.0, most_on_per_day=2),
    )


def test_what_a_guard_is_told_goes_through_its_file() -> None:
    """group.json brings back what was written."""
    told = plain(**yaml.safe_load(SITE))
    assert decode(Outlets, encode(told)) == told


def test_nothing_said_is_no_outlet() -> None:
    """An empty part is a group without outlets."""
    assert plain() == Outlets()


def test_another_make_is_given_by_its_oids() -> None:
    """A table of a person's own takes the place of a known one."""
    (pdu,) = plain(pdus=[SNMP | {"make": None, "table": TABLE | {"draw_w_per_unit": 0.1}}]).pdus
    assert isinstance(pdu, SnmpPdu)
    assert (pdu.table.switch_oid, pdu.table.draw_oid, pdu.table.draw_w_per_unit) == (
        TABLE["switch_oid"],
        "",
        0.1,
    )


@pytest.mark.parametrize(
    "said, words",
    [
        ({"pdus": [SNMP | {"make": "acme"}]}, "make = acme: is not known; give one of apc, raritan, sentry4"),
        ({"pdus": [SNMP | {"table": TABLE}]}, "give the make, one of"),
        ({"pdus": [SNMP | {"user": "barq"}]}, "version = 2c: knows a community and no user"),
        ({"pdus": [V3 | {"priv_key_env": None}]}, "version = 3: give user, auth_key_file and priv_key_file"),
        ({"pdus": [V3 | {"auth_key_file": "x"}]}, "auth_key_file and auth_key_env are both given"),
        ({"pdus": [V3 | {"auth": "none"}]}, "auth"),
        ({"pdus": [SNMP | {"community": "public"}]}, "Extra inputs are not permitted"),
        ({"pdus": [REDFISH | {"url": "http://10.0.0.10"}]}, "url: give https://"),
        ({"pdus": [REDFISH | {"username_env": "U"}]}, "a username goes with a password"),
        ({"pdus": [REDFISH | {"ca_file": "a", "pinned_file": "b"}]}, "keep one: pinned_file counts alone"),
        ({"pdus": [V3, V3]}, "pdus.name = pdu-a: 2 PDUs are called so"),
        ({"pdus": [V3], "feeds": {"10.1.0.7": "pdu-x/7"}}, "feeds.10.1.0.7 = pdu-x/7: there is no such PDU"),
        (
            {"pdus": [V3], "feeds": {"10.1.0.7": "pdu-a/7", "10.1.0.8": "pdu-a/7"}},
            "feeds: pdu-a/7 feeds 2 machines",
        ),
        ({"pdus": [V3], "feeds": {"10.1.0.7": "pdu-a"}}, "feeds"),
        ({"retry_after_s": 9}, "retry_after_s = 9 is not before cut_after_s = 8"),
        (
            {"pdus": [SNMP | {"make": None, "table": TABLE | {"state_oid": "1.3.6.1"}}]},
            "state_oid = 1.3.6.1: has no {outlet}",
        ),
        ({"pdus": [SNMP | {"make": None, "table": TABLE | {"off_states": [1]}}]}, "both have 1"),
        ({"pdus": [SNMP | {"make": None, "table": TABLE | {"off_value": 1}}]}, "are both 1"),
    ],
)
def test_what_makes_no_sense_is_named(said: dict[str, Any], words: str) -> None:
    """The field, what is wrong with it, and the remedy."""
    with pytest.raises(ValidationError) as caught:
        plain(**said)
    assert words in str(caught.value)

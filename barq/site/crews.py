"""Whom a keeper keeps, and where they find each other: a whole site, or one member of a site that is elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from barq.site.files import SiteFiles, read_json
from barq.site.membership import Membership
from barq.site.network import read_network
from barq.site.parts import ENROL, RAY_GONE, Part, member_parts, shadow_parts, site_parts
from barq.site.ray_head import GCS_OFFSET, RayHead, free_port, new_temp_dir
from barq.site.ray_member import RayMember

log = logging.getLogger("barq.keeper")


class RayNode(Protocol):
    """What a keeper does to its Ray, head or member."""

    @property
    def temp_dir(self) -> Path:
        """Where it lives."""

    def prepare(self) -> None:
        """Make ready for a start."""

    def is_ready(self) -> bool:
        """Whether it is up."""


class Crew(Protocol):
    """The processes of one state directory."""

    @property
    def ray(self) -> RayNode:
        """The Ray among them."""

    def parts(self) -> list[Part]:
        """All of them, in order of start."""

    def address(self) -> dict[str, Any]:
        """What people and parts are told of it, in `run/site.json`."""

    def may_start_ray(self) -> bool:
        """Whether a start of Ray has a chance now."""

    def moves_ray(self) -> bool:
        """Whether Ray had to move to another address, so that the parts are others now. Raises OSError."""

    def loses_ray(self, name: str, code: int | None) -> bool:
        """Whether the end of this part says that the Ray which runs here is of no use any more."""


class HeadCrew:
    """A whole site: Ray's head, scheduler and API, and the guards of this machine."""

    def __init__(self, files: SiteFiles, *, api_port: int, environment: Mapping[str, str]) -> None:
        self._files = files
        self._environment = environment
        self._network = read_network(files)
        self._head, self._api_port = self._addresses(api_port)

    @property
    def ray(self) -> RayNode:
        """The head."""
        return self._head

    def parts(self) -> list[Part]:
        """All parts of the site."""
        return site_parts(self._files, self._head, api_port=self._api_port, inherited=self._environment)

    def address(self) -> dict[str, Any]:
        """Where API and Ray are."""
        return {
            "api_url": f"http://{self._network.host}:{self._api_port}",
            "ray_address": self._head.address,
            "ray_temp_dir": str(self._head.temp_dir),
        }

    def may_start_ray(self) -> bool:
        """Always: it waits for nobody."""
        return True

    def moves_ray(self) -> bool:
        """Whether somebody else took its port. One that members know it keeps; then this raises OSError."""
        if self._head.port_is_free():
            return False
        if not self._head.may_move:
            raise OSError(
                f"{self._head.address} is taken by somebody else, and members know no other address"
            )
        log.warning("port %d was taken by somebody else; Ray and its drivers move", self._head.port)
        self._head = self._head.at(free_port())
        return True

    def loses_ray(self, name: str, code: int | None) -> bool:
        """Never: here is the head."""
        del name, code
        return False

    def _addresses(self, api_port: int) -> tuple[RayHead, int]:
        """As recorded, for those that run already know them; else new ones."""
        recorded = read_json(self._files.address)
        try:
            port, temp_dir = int(recorded["ray_address"].rpartition(":")[2]), Path(recorded["ray_temp_dir"])
            api_port = int(recorded["api_url"].rpartition(":")[2])
        except (KeyError, ValueError, AttributeError):
            return self._new_addresses(api_port)
        head = RayHead(port=port, temp_dir=temp_dir, token=self._files.ray_token, host=self._network.host)
        return head, api_port

    def _new_addresses(self, api_port: int) -> tuple[RayHead, int]:
        """On a network address ports are known beforehand, so that members find the site after any restart."""
        token, network = self._files.ray_token, self._network
        if network.is_local:
            return RayHead.new(token), api_port or free_port()
        return RayHead.new(token, host=network.host, port=network.port + GCS_OFFSET), network.port


class ShadowCrew:
    """A site that acts nothing: no Ray and no guards, only who decides and who shows it."""

    def __init__(self, files: SiteFiles, *, api_port: int, environment: Mapping[str, str]) -> None:
        self._files = files
        self._environment = environment
        self._network = read_network(files)
        recorded = str(read_json(files.address).get("api_url") or "").rpartition(":")[2]
        own = api_port if self._network.is_local else self._network.port
        self._api_port = int(recorded) if recorded.isdecimal() else own or free_port()

    @property
    def ray(self) -> RayNode:
        """There is none, and no part that would ask for it."""
        raise LookupError("a site in shadow mode has no Ray")

    def parts(self) -> list[Part]:
        """Scheduler and API."""
        network, port = self._network, self._api_port
        return shadow_parts(self._files, host=network.host, api_port=port, inherited=self._environment)

    def address(self) -> dict[str, Any]:
        """Where the API is."""
        return {"api_url": f"http://{self._network.host}:{self._api_port}"}

    def may_start_ray(self) -> bool:
        """Never."""
        return False

    def moves_ray(self) -> bool:
        """Never."""
        return False

    def loses_ray(self, name: str, code: int | None) -> bool:
        """Never."""
        del name, code
        return False


class MemberCrew:
    """One machine of a site whose head is elsewhere: a raylet, its agents' keeper, the guards of this machine."""

    def __init__(self, files: SiteFiles, membership: Membership, *, environment: Mapping[str, str]) -> None:
        self._files = files
        self._membership = membership
        self._environment = environment
        recorded = str(read_json(files.address).get("ray_temp_dir") or "")
        self._ray = RayMember(
            address=membership.ray_address,
            host=membership.host,
            ports_from=membership.ports_from,
            node_name=membership.node,
            temp_dir=Path(recorded) if recorded else new_temp_dir(),
            token=files.ray_token,
        )

    @property
    def ray(self) -> RayNode:
        """The raylet of this machine."""
        return self._ray

    def parts(self) -> list[Part]:
        """Nothing that decides: Ray, the guards, and who sees to their agents."""
        return member_parts(self._files, self._ray, inherited=self._environment)

    def address(self) -> dict[str, Any]:
        """Where the site is that this machine belongs to."""
        return {
            "api_url": self._membership.api_url,
            "ray_address": self._membership.ray_address,
            "ray_temp_dir": str(self._ray.temp_dir),
            "node": self._membership.node,
        }

    def may_start_ray(self) -> bool:
        """Once the head is there."""
        return self._ray.head_listens()

    def moves_ray(self) -> bool:
        """Never: the head is where it is."""
        return False

    def loses_ray(self, name: str, code: int | None) -> bool:
        """When `enrol` found the head gone: the next head will not know this raylet, which it sees after a minute."""
        return name == ENROL and code in (RAY_GONE, None)

"""Uploads: a folder goes to the site once, whole, checked, within its limit, and a job runs in it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.routes.uploads import LEAST_FREE_BYTES
from api.settings import Settings
from barq.client import Client
from barq.errors import InvalidInput
from barq.package import hash_of
from tests.api_server import served
from tests.api_site import ApiSite, refused

EMPTY = hash_of(b"")


def folder(root: Path) -> Path:
    """A folder of three files, two of them alike."""
    (root / "lib").mkdir(parents=True)
    (root / "train.py").write_text("import lib.model\n")
    (root / "lib" / "model.py").write_text("x = 1\n")
    (root / "lib" / "copy.py").write_text("x = 1\n")
    return root


def stored(state: Path) -> set[str]:
    """What lies on the site's disk."""
    return {p.name for p in (state / "blobs").rglob("*") if p.is_file() and not p.name.startswith(".")}


async def put(site: ApiSite, content: bytes, name: str | None = None) -> httpx.Response:
    """Send a blob."""
    return await site.client.put(f"/api/v1/uploads/blobs/{name or hash_of(content)}", content=content)


def test_a_folder_is_sent_once_and_a_job_runs_in_it(state: Path, url: str, tmp_path: Path) -> None:
    """What the site has is not sent again, not even by another folder; the job names the package."""
    token = (state / "token").read_text().strip()
    place = folder(tmp_path / "project")
    told: list[tuple[str, int, int]] = []
    with Client(url, token) as client:
        package = client.upload(place, progress=lambda *news: told.append(news))
        assert told[-1] == ("sending", 23, 23)
        assert len(stored(state)) == 3  # two blobs and the manifest

        told.clear()
        assert client.upload(place, progress=lambda *news: told.append(news)) == package
        assert told[-1] == ("sending", 0, 0)

        (place / "new.py").write_text("new")
        job = client.submit({"entrypoint": "python train.py", "working_dir": str(place), "upload": True})
    assert job["spec"].keys() == {"entrypoint", "package"}
    assert len(stored(state)) == 5
    response = httpx.get(
        f"{url}/api/v1/uploads/packages/{job['spec']['package']}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    files = {entry["path"]: entry["hash"] for entry in json.loads(response.content)["files"]}
    assert files["new.py"] == hash_of(b"new")


def test_a_send_that_broke_off_goes_on(state: Path, url: str, tmp_path: Path) -> None:
    """A file that changed while it was sent is told, and what arrived before is not sent again."""
    place = folder(tmp_path / "project")
    with Client(url, (state / "token").read_text().strip()) as client:
        original = client._transport.put

        def broken(path: str, content: bytes | Path) -> None:
            is_model = isinstance(content, Path) and content.name != "train.py"
            original(path, b"changed" if is_model else content)

        client._transport.put = broken  # type: ignore[method-assign]
        with pytest.raises(InvalidInput, match="changed while it was sent"):
            client.upload(place)
        client._transport.put = original  # type: ignore[method-assign]
        told: list[tuple[str, int, int]] = []
        client.upload(place, progress=lambda *news: told.append(news))
    assert told[-1] == ("sending", 6, 6)


def test_too_much_is_refused_by_both(state: Path, tmp_path: Path) -> None:
    """The client says which files are to blame; whoever does not ask is cut off."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "big.bin").write_bytes(bytes(2000))
    token_file = state / "token"
    settings = Settings(site="t", state_dir=state, database=state / "barq.db", upload_limit_bytes=1000)
    from fastapi.testclient import TestClient

    with TestClient(create_app(settings)) as api:
        client = Client("http://site.test", token_file.read_text().strip(), transport=api._transport)
        with pytest.raises(InvalidInput, match=r"big\.bin") as caught:
            client.upload(tmp_path / "project")
        with pytest.raises(InvalidInput) as cut:
            client._transport.put(f"/api/v1/uploads/blobs/{hash_of(bytes(2000))}", bytes(2000))
    assert (caught.value.code, cut.value.code) == ("package_too_large", "body_too_large")
    assert stored(state) == set()


async def test_a_blob_larger_than_any_other_body_passes(site: ApiSite) -> None:
    """The general limit is for what is kept in memory."""
    content = bytes(9 * 1024 * 1024)

    assert (await put(site, content)).status_code == 204
    response = await site.client.get(f"/api/v1/uploads/blobs/{hash_of(content)}")
    assert response.content == content


async def test_an_endless_body_is_cut_off(site: ApiSite) -> None:
    """Without a length it is counted; nothing of it is kept."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(16 * 1024 * 1024)
            await asyncio.sleep(0)

    limit = site.app.state.context.settings.upload_limit_bytes
    assert limit == 500_000_000
    object.__setattr__(site.app.state.context.settings, "upload_limit_bytes", 40_000_000)
    response = await site.client.put(f"/api/v1/uploads/blobs/{EMPTY}", content=endless())
    refused(response, 413, "body_too_large")
    assert stored(site.state) == set()


async def test_nothing_is_taken_that_would_fill_the_disk(
    site: ApiSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards write each order to it before they act, and the scheduler each decision: people's files come after."""
    usage = shutil.disk_usage(site.state)._replace(total=100 * LEAST_FREE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=LEAST_FREE_BYTES - 1))
    refused(await put(site, b"x"), 507, "no_room")
    assert stored(site.state) == set()

    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=LEAST_FREE_BYTES))
    assert (await put(site, b"x")).status_code == 204


async def test_a_blob_with_the_wrong_content_is_refused(site: ApiSite) -> None:
    """And a name that is no hash is none; nothing is kept."""
    refused(await put(site, b"other", EMPTY), 422, "wrong_content")
    for name in ("nope", "A" * 64, "%2e%2e", "..%2f..%2ftoken"):
        response = await put(site, b"x", name)
        assert response.status_code in (404, 422)
    assert stored(site.state) == set()


@pytest.mark.parametrize("path", ["../../token", "/etc/cron.d/x", "a/../../b", "a\\b", ""])
async def test_a_manifest_that_leads_out_is_refused(site: ApiSite, path: str) -> None:
    """The site checks anew what no honest client sends."""
    await put(site, b"")
    files = [{"hash": EMPTY, "mode": 420, "path": path, "size": 0}]
    data = json.dumps({"files": files, "version": 1}, sort_keys=True, separators=(",", ":")).encode()

    response = await site.client.put(f"/api/v1/uploads/packages/{hash_of(data)}", content=data)

    problem = refused(response, 422, "invalid_package")
    assert "path" in problem["detail"]
    assert stored(site.state) == {EMPTY}


async def test_a_package_without_its_blobs_is_refused(site: ApiSite) -> None:
    """And so is a job that names one which is not here."""
    files = [{"hash": EMPTY, "mode": 420, "path": "a", "size": 0}]
    data = json.dumps({"files": files, "version": 1}, sort_keys=True, separators=(",", ":")).encode()
    name = hash_of(data)
    refused(await site.client.put(f"/api/v1/uploads/packages/{name}", content=data), 409, "blobs_missing")
    refused(await site.client.put(f"/api/v1/uploads/packages/{EMPTY}", content=data), 422, "invalid_package")
    refused(await site.client.get(f"/api/v1/uploads/packages/{name}"), 404, "package_not_found")
    refused(await site.client.get(f"/api/v1/uploads/blobs/{EMPTY}"), 404, "blob_not_found")

    batch = {"jobs": [{"entrypoint": "a"}, {"entrypoint": "b", "package": name}]}
    problem = refused(await site.client.post("/api/v1/jobs:batch", json=batch), 422, "package_not_found")
    assert problem["field"] == "jobs[1].package"
    body = {"entrypoint": "x", "working_dir": "/srv", "upload": True}
    assert (
        refused(await site.client.post("/api/v1/jobs", json=body), 422, "invalid_field")["field"] == "upload"
    )


async def test_what_no_job_needs_is_removed_when_it_is_old(site: ApiSite) -> None:
    """A package that a waiting job names stays, however long it waits."""
    names = []
    for i in range(2):
        content = str(i).encode()
        await put(site, content)
        files = [{"hash": hash_of(content), "mode": 420, "path": "a", "size": 1}]
        data = json.dumps({"files": files, "version": 1}, sort_keys=True, separators=(",", ":")).encode()
        names.append(hash_of(data))
        await site.client.put(f"/api/v1/uploads/packages/{names[-1]}", content=data)
    await site.submit(package=names[0])
    then = time.time() - 40 * 86400
    for path in (site.state / "blobs").rglob("*"):
        os.utime(path, (then, then))

    await put(site, b"")
    files = [{"hash": EMPTY, "mode": 420, "path": "a", "size": 0}]
    data = json.dumps({"files": files, "version": 1}, sort_keys=True, separators=(",", ":")).encode()
    await site.client.put(f"/api/v1/uploads/packages/{hash_of(data)}", content=data)

    assert stored(site.state) == {names[0], hash_of(b"0"), hash_of(data), EMPTY}


def test_uploads_need_a_token(state: Path) -> None:
    """Nothing of the body is read for a stranger."""
    with served(state) as url:
        response = httpx.put(f"{url}/api/v1/uploads/blobs/{EMPTY}", content=b"", timeout=60)
    assert response.status_code == 401

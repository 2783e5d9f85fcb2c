"""`notify` in a job file, and how a receiver checks a call."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.admission import notify_target
from barq.jobfile import JobFileError, load_job_file, parse_job
from barq.webhook import verify
from scheduler.notify import headers, is_allowed
from scheduler.records import Delivery
from tests.api_site import ApiSite, refused

SECRET = "0123456789abcdef"  # noqa: S105
URL = "https://hooks.example.org/barq"
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DELIVERY = Delivery(
    id="d1", job_id="t-1", event="end", url=URL, secret=SECRET, body="{}", created_at=AT, tries=0
)


def test_a_receiver_knows_who_calls() -> None:
    """By the body, the time and the secret together; a copy that comes late is none."""
    signature = headers(DELIVERY, b"{}", at=AT)["Barq-Signature"]
    now_s = AT.timestamp()

    assert verify(SECRET, signature, b"{}", now_s=now_s + 299)
    assert not verify(SECRET, signature, b"{}", now_s=now_s + 301)
    assert not verify(SECRET, signature, b"{ }", now_s=now_s)
    assert not verify(SECRET, signature.replace("t=1", "t=2"), b"{}", now_s=now_s)
    assert not verify(SECRET, "v1=what", b"{}", now_s=now_s)
    assert SECRET not in repr(DELIVERY)


@pytest.mark.parametrize(
    "address,public,private",
    [
        ("93.184.215.14", True, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True, True),
        ("10.1.2.3", False, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("fd00::1", False, True),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("::ffff:127.0.0.1", False, True),
        ("224.0.0.1", False, False),
        ("::", False, False),
        ("64:ff9b::93.184.215.14", True, True),
        ("64:ff9b::169.254.169.254", False, False),
        ("64:ff9b::10.0.0.1", False, True),
        ("64:ff9b:1::1", False, True),
        ("2002:a9fe:a9fe::1", False, False),
        ("2001:0:4136:e378:8000:63bf:5601:5601", False, False),
        ("::10.0.0.1", False, True),
        ("fec0::1", False, True),
    ],
)
def test_where_a_webhook_may_be(address: str, public: bool, private: bool) -> None:
    """Public addresses always; private ones if the site says so; link-local and such never, however wrapped."""
    found = ipaddress.ip_address(address)

    assert is_allowed(found, allow_private=False) is public
    assert is_allowed(found, allow_private=True) is private


@pytest.mark.parametrize(
    "notify,field",
    [
        ({"url": "ftp://x.org", "secret": SECRET}, "notify.url"),
        ({"url": "https://", "secret": SECRET}, "notify.url"),
        ({"url": "https://ada:pw@x.org", "secret": SECRET}, "notify.url"),
        ({"url": "https://x.org:99999", "secret": SECRET}, "notify.url"),
        ({"url": "https://x.org/\r\nHost: y", "secret": SECRET}, "notify.url"),
        ({"url": URL, "secret": "hunter2"}, "notify.secret"),
        ({"url": URL, "secrets": "hunter2 hunter2 hunter2"}, "notify.secrets"),
        ({"url": URL, "secret": SECRET, "on": ["lunch"]}, "notify.on[0]"),
        ({"url": URL, "secret": SECRET, "on": []}, "notify.on"),
        ({"url": URL}, "notify"),
        ({"url": URL, "secret": "hunter2 hunter2 hunter2", "secret_env": "HOOK"}, "notify"),
    ],
)
def test_nonsense_is_refused_without_showing_a_secret(notify: dict[str, object], field: str) -> None:
    """Whatever is wrong, and wherever the secret was written."""
    with pytest.raises(JobFileError) as caught:
        parse_job({"entrypoint": "true", "notify": notify})

    assert caught.value.field == field
    assert "hunter2" not in str(caught.value)


def test_a_job_file_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the file may be shared; the secret is read where the job is submitted."""
    file = tmp_path / "job.yaml"
    file.write_text(f"entrypoint: 'true'\nnotify: {{url: {URL}, secret_env: HOOK}}\n")
    with pytest.raises(JobFileError, match="set HOOK to 16"):
        load_job_file(file)

    monkeypatch.setenv("HOOK", SECRET)
    [job] = load_job_file(file)

    assert job.notify is not None
    assert job.model_dump(mode="json", exclude_unset=True)["notify"] == {
        "url": URL, "on": ["pause", "resume", "end"], "secret": SECRET,
    }  # fmt: skip
    assert SECRET not in repr(job)
    target = notify_target(job)
    assert target is not None
    assert SECRET not in repr(target)
    assert replace(target, secret="") is not None


async def test_the_api_takes_the_secret_and_shows_it_to_nobody(tmp_path: Path) -> None:
    """Neither in the answer nor in any view of the job; the variable's name alone is no secret."""
    async with ApiSite(tmp_path / "state") as site:
        made = await site.submit(notify={"url": URL, "on": ["end"], "secret": SECRET})
        views = [made, await site.get("/jobs"), await site.get(f"/jobs/{made['id']}")]
        views += [await site.get(f"/jobs/{made['id']}/{what}") for what in ("events", "why", "notifications")]

        assert made["spec"]["notify"] == {"url": URL, "on": ["end"]}
        assert SECRET not in json.dumps(views)
        assert views[-1] == {"notifications": []}
        body = {"entrypoint": "true", "notify": {"url": URL, "secret_env": "HOOK"}}
        refused(await site.client.post("/api/v1/jobs", json=body), 422, "invalid_field")

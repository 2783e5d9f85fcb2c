"""What verbs print for people."""

from __future__ import annotations

from typing import Any

import pytest

from tests.busy_site import EVENT, LIMIT, MINERS, NODE, POWER, barq, busy_site
from tests.stub_site import finished, problem


def test_jobs_are_a_table() -> None:
    """The last column has the nodes of a job that is placed, else the reason."""
    site = busy_site()
    site.jobs["demo-2"] |= {
        "state": "SUSPENDED",
        "nodes": 4,
        "reason": {"code": "x", "text": "power was withdrawn"},
    }

    assert barq(site, "jobs").stdout.splitlines() == [
        "ID      NAME   STATE      SINCE      PRIORITY  GPUS  STEP  NODES(REASON)",
        "demo-1  train  PENDING    3 min ago         0     2     -  (needs 4.2 kW, 1.1 kW are free)",
        "demo-2  train  SUSPENDED  3 min ago         0   4x2   420  node-1 (power was withdrawn)",
        "demo-3  train  SUCCEEDED  3 min ago         0     2     -  -",
    ]


@pytest.mark.parametrize(
    "verb", [["jobs"], ["jobs", "--state", "held"], ["show", "1"], ["why", "1"], ["nodes"]]
)
def test_the_last_line_says_that_the_scheduler_is_silent(verb: list[str]) -> None:
    """Since when, and what to do: what stands above is as old. JSON stays JSON."""
    site, loud = busy_site(), busy_site()
    silent = "the scheduler has told nothing for 2 min, since 2026-03-01 11:58:00 UTC"
    told = problem(503, "not_ready", silent, remedy="see that the scheduler's process runs")
    site.on("GET", "/readyz", told, below="")

    said, before = barq(site, *verb).stdout, barq(loud, *verb).stdout

    line = f"What stands here may be old: {silent}; see that the scheduler's process runs"
    assert said == f"{before}\n{line}\n"
    assert barq(site, *verb, "--json").stdout == barq(loud, *verb, "--json").stdout


def test_a_long_list_says_that_it_is_cut() -> None:
    """--limit cuts and says so on stderr; --all does not."""
    site = busy_site()
    cut, whole = barq(site, "jobs", "--limit", "2", "-q"), barq(site, "jobs", "--limit", "2", "--all", "-q")

    assert (len(cut.stdout.splitlines()), len(whole.stdout.splitlines())) == (2, 3)
    assert "--all shows all" in cut.stderr
    assert whole.stderr == ""


def test_no_jobs_is_talk() -> None:
    """An empty list leaves stdout empty; filters travel to the site."""
    site = busy_site()
    result = barq(site, "jobs", "--state", "held", "--name", "x", "--project", "y")

    assert (result.stdout, result.stderr) == ("", "no jobs\n")
    params = dict(site.requests[0].url.params)
    assert params == {"state": "HELD", "name": "x", "project": "y", "limit": "51"}


def test_why_is_a_story() -> None:
    """State, sentence, numbers, what would change it, checkpoint, history."""
    assert barq(busy_site(), "why", "demo-1").stdout.splitlines() == [
        "demo-1 PENDING, since 3 min ago",
        "needs 4.2 kW, 1.1 kW are free [PowerUnavailable]",
        "  needs  4.2 kW",
        "  free   1.1 kW",
        "What would change it: a lower power need, or a higher limit",
        "Expected:",
        "  at  2026-03-01 12:20 (in 20 min)",
        "Checkpoint:",
        "  step      420",
        "  path      /srv/step-420",
        "  interval  5 min",
        "Lately:",
        "  demo-1 was paused: power was withdrawn",
    ]


def test_why_of_a_job_that_simply_runs() -> None:
    """Nothing to explain is nothing said."""
    site = busy_site()
    nothing: dict[str, Any] = {"reason": None, "expected": None, "history": [], "checkpoint": None}
    site.on("GET", "/jobs/demo-2/why", {"job_id": "demo-2", "state": "RUNNING", **nothing})

    assert barq(site, "why", "2").stdout == "demo-2 RUNNING, since 3 min ago\n"


def test_show_is_facts_attempts_and_checkpoints() -> None:
    """What is not known is left out; a command can be copied."""
    lines = barq(busy_site(), "show", "1").stdout.splitlines()

    assert "state          PENDING" in lines
    assert "reason         PowerUnavailable: needs 4.2 kW, 1.1 kW are free" in lines
    assert "command        python train.py 'two words'" in lines
    assert "submitted      2026-03-01 11:50 (10 min ago)" in lines
    assert not any(line.startswith("ended") for line in lines)
    assert lines[-5:] == [
        "ATTEMPT  STATE      CAUSE           NODES   STARTED  ENDED      FROM STEP  TO STEP  LOST",
        "      1  PREEMPTED  PowerWithdrawn  node-1  1 h ago  3 min ago          0      420     0",
        "",
        "CHECKPOINT  STATE        VERIFIED   PATH           WHY",
        "       420  quarantined  3 min ago  /srv/step-420  hash differs",
    ]


def test_power_is_a_sentence_and_tables() -> None:
    """The sentence first, then who draws what, the sources, and the limits that people set."""
    assert barq(busy_site(), "power").stdout.splitlines() == [
        "Surplus 412 kW. GPUs 268, miners 120, unused 24. Firm until 16:10.",
        "",
        "limit            412 kW (surplus, feeder 7)",
        "draw             388 kW, measured 1 s ago",
        "AI work          268 kW",
        "nodes, overhead  0 W",
        "miners           120 kW",
        "unused           24 kW",
        "at most          400 kW as things stand",
        "firm             50 kW",
        "over the limit   0 s so far",
        "next             50 kW at 2026-03-01 16:10 (in 4 h)",
        "",
        "SOURCE    LIMIT  STATE  AGE  VALID UNTIL  FROM",
        "surplus  412 kW  fresh  1 s  -            feeder 7",
        "",
        "STANDING LIMIT   LIMIT  SET      UNTIL     REASON",
        "3               200 kW  1 h ago  released  feeder work",
    ]


def test_power_tells_what_the_meter_makes_of_the_margin() -> None:
    """How much is kept free, of how much, and why; a site whose margin stands does not speak of it."""
    site = busy_site()
    proven = {"margin": 0.011, "margin_most": 0.03, "margin_why": "it is shown", "margin_peak": -0.006}
    site.on("GET", "/power", POWER | proven)

    told = barq(site, "power").stdout
    assert "margin           1.1% of at most 3.0%: it is shown; at most 0.6% under the orders so far" in told
    site.on("GET", "/power", POWER | proven | {"margin_why": None})
    assert "margin" not in barq(site, "power").stdout


def test_a_limit_that_binds_nothing_is_set_and_said_to() -> None:
    """On a line of its own, as the site says why."""
    made = LIMIT | {"limit_w": 84_000.0, "remark": "it binds nothing: the site draws 8.4 kW at most"}
    told = barq(busy_site().on("POST", "/power/limits", made), "power", "limit", "84kW", "--reason", "drill")

    assert told.stdout.splitlines()[1:] == ["note: it binds nothing: the site draws 8.4 kW at most"]


def test_nodes_are_a_table() -> None:
    """Draw beside entitlement, GPUs in use, caps, miners that are on; alarms below, each on a line."""
    assert barq(busy_site(), "nodes").stdout.splitlines() == [
        "NODE    KIND    ADDRESS   STATE          DRAW  ALLOWED  GPUS          CAP  MINERS  REPORT",
        "node-1  node    10.0.0.1  ok           1.5 kW   2.2 kW   1/2  250 W-400 W       -  2 s ago",
        "miners  miners  10.0.0.1  unreachable  1.5 kW   2.2 kW     -            -  1/2 on  2 s ago",
        "",
        "miners: m2 is on",
    ]


def test_miners_that_nobody_guards_stand_out() -> None:
    """Unreachable says too little: all that they can draw counts."""
    group = {**MINERS, "guard_on": "hut-1", "unguarded": True, "alarms": ["nobody guards miners"]}
    row, _, alarm = barq(busy_site().on("GET", "/nodes", {"nodes": [group]}), "nodes").stdout.splitlines()[1:]
    assert row.split()[2:4] == ["-", "unguarded"]
    assert alarm == "miners: nobody guards miners"


def test_a_node_that_is_passed_over_stands_out() -> None:
    """Why, and until when, is an alarm."""
    node = {**NODE, "passed_over_until_at": "2026-03-01T13:20:15Z", "alarms": ["node-1 is passed over"]}
    row, _, alarm = barq(busy_site().on("GET", "/nodes", {"nodes": [node]}), "nodes").stdout.splitlines()[1:]
    assert row.split()[3:5] == ["passed", "over"]
    assert alarm == "node-1: node-1 is passed over"


def test_a_trimmed_machine_is_told_of() -> None:
    """Where machines run whole."""
    states = (("m1", 3000.0, "running"), ("m2", 2200.0, "trimmed"), ("m3", 0.0, "asleep"))
    miners = [{"id": i, "target_w": w, "draw_w": w, "state": state} for i, w, state in states]
    group = {**MINERS, "miners": miners, "alarms": []}

    last = barq(busy_site().on("GET", "/nodes", {"nodes": [group]}), "nodes").stdout.splitlines()[-1]
    assert "2/3 on, 1 trimmed" in last


def test_events_are_a_table() -> None:
    """When, what kind, what happened."""
    assert barq(busy_site(), "events", "1").stdout.splitlines() == [
        "AT                            KIND        WHAT",
        "2026-03-01 11:57 (3 min ago)  job.paused  power was withdrawn",
    ]


def test_without_a_job_the_events_are_those_of_the_site() -> None:
    """Of limits and their sources, too."""
    text = "source feeder-12 refused a message: limit: NaN is no limit"
    refused = {"seq": 9, "at": "2026-03-01T11:59:00Z", "kind": "signal.refused", "text": text, "data": {}}
    site = busy_site().on("GET", "/events", {"events": [refused]})

    assert barq(site, "events").stdout.splitlines()[-1].endswith(f"signal.refused  {text}")


def test_show_tells_what_went_wrong() -> None:
    """A job that failed says why in the words that were noted; all else that happened is left to `events`."""
    failed = finished(3, "FAILED", failures=1)
    site = busy_site()
    site.jobs["demo-3"] = failed
    events = [
        {**EVENT, "kind": "job.started", "text": "begun"},
        {**EVENT, "kind": "job.failed", "text": "demo-3 attempt 1 failed (LaunchFailed): pip refuses r.txt"},
    ]
    site.on("GET", "/jobs/demo-3/attempts", {"attempts": []})
    site.on("GET", "/jobs/demo-3/checkpoints", {"checkpoints": []})
    site.on("GET", "/jobs/demo-3/events", {"events": events})

    lines = barq(site, "show", "3").stdout.splitlines()

    assert lines[-2:] == ["Went wrong:", "  demo-3 attempt 1 failed (LaunchFailed): pip refuses r.txt"]


def test_an_emergency_stop_comes_first() -> None:
    """Who looks at the power or the nodes sees who stopped them, since when and why."""
    stop = {"engaged": True, "id": "s1", "reason": "smoke", "by": "ada", "at": "2026-03-01T11:57:00Z"}
    site = busy_site()
    site.on("GET", "/power", POWER | {"estop": stop})
    site.on("GET", "/nodes", {"nodes": [NODE | {"estop": stop}]})

    power, nodes = barq(site, "power").stdout, barq(site, "nodes").stdout

    line = "EMERGENCY STOP by ada since 2026-03-01 11:57 (3 min ago): smoke; `barq estop release` ends it"
    assert power.splitlines()[0] == line
    assert " stopped " in nodes


@pytest.mark.parametrize(
    "call,told",
    [
        (None, "nothing to tell yet"),
        ({"state": "delivered", "delivered_at": "2026-03-01T11:57:00Z"}, "last delivered: end, 3 min ago"),
        (
            {"state": "waiting", "next_at": "2026-03-01T12:05:00Z", "tries": 3, "error": "it answered 500"},
            "last: end, to be told in 5 min (it answered 500; 3 tries so far)",
        ),
        ({"state": "given_up", "error": "it answered 410"}, "last: end, given up: it answered 410"),
    ],
)
def test_a_job_shows_how_its_webhook_stands(call: dict[str, Any] | None, told: str) -> None:
    """Whom it tells, and how the last call went."""
    site = busy_site()
    site.jobs["demo-1"]["spec"] |= {"notify": {"url": "https://hooks.example.org/x", "on": ["end"]}}
    calls = [] if call is None else [{"event": "end", "error": None, "tries": 1, **call}]
    site.on("GET", "/jobs/demo-1/notifications", {"notifications": calls})

    shown = barq(site, "show", "1").stdout

    assert f"end to https://hooks.example.org/x; {told}" in shown


def test_projects_are_a_table_in_their_order() -> None:
    """Whose jobs go first comes first; then what is nobody's, and how use is remembered."""
    assert barq(busy_site(), "project", "list").stdout.splitlines() == [
        "RANK  PROJECT  WEIGHT  USED  NOMINAL  BORROWED  LENT  GPU-HOURS   ENERGY  SHARE  DUE",
        "   1  others        1     2        -         -     -      203.1   65 kWh    20%  25%",
        "   2  vision        3    20       16         4     0      812.5  260 kWh    80%  75%",
        "Without a nominal: 2 of 8 GPUs used, 0 borrowed, 4 lent",
        "Use as of 30 s ago; it counts half after 7 d, energy 50% of it",
    ]


def test_the_hours_to_come_are_a_table_with_their_score() -> None:
    """Whose word each row is; then what forecasts from history are worth, beside persistence."""
    watts = {"p10_w": 160_000.0, "p50_w": 420_000.0, "p90_w": 610_000.0}
    lead = {"until_h": 1, "quarters": 9, "pinball_w": [1000.0, 3000.0, 2000.0], "covered": 0.81}
    empty = {"until_h": 6, "quarters": 0, "pinball_w": None, "covered": None}
    told = {
        "state": "made",
        "why": "learned from history: good",
        "made_at": None,
        "is_used": False,
        "scores": [
            {"method": "learned", "loss_w": 2000.0, "by_lead": [lead, empty]},
            {"method": "last", "loss_w": None, "by_lead": [empty, empty]},
        ],
        "rows": [{"at": "2026-03-01T13:00:00Z", **watts, "by": "history", "source": "history"}] * 3,
    }
    shown = barq(busy_site().on("GET", "/forecast", told), "forecast", "--hours", "1").stdout.splitlines()

    assert [line.split()[2:] for line in shown[1:3]] == [
        ["160", "kW", "420", "kW", "610", "kW", "history", "history"]
    ] * 2
    assert shown[4] == "Learned from history: good."
    assert [line.split() for line in shown[6:]] == [
        ["PINBALL", "LOSS,", "COVERED", "<", "1", "h", "<", "6", "h", "MEAN"],
        ["learned", "from", "history", "2", "kW,", "81%", "-", "2", "kW"],
    ]


def test_no_projects_is_talk() -> None:
    """An empty list leaves stdout empty."""
    result = barq(busy_site().on("GET", "/projects", {"projects": []}), "project", "list")

    assert (result.stdout, result.stderr) == ("", "the site file names no projects\n")


def test_power_shows_what_is_foreseen_beside_what_is_announced() -> None:
    """Each quantile by its name, and from when on."""
    quantiles = [
        {"share": 0.1, "name": "10 % quantile", "limit_w": 50_000.0},
        {"share": 0.5, "name": "median", "limit_w": 300_000.0},
    ]
    told = {"source": "surplus", "at": "2026-03-01T14:00:00Z", "quantiles": quantiles}
    site = busy_site().on("GET", "/power", POWER | {"forecast": [told]})

    lines = [line.split(maxsplit=1) for line in barq(site, "power").stdout.splitlines()]

    shown = "50 kW (10 % quantile), 300 kW (median) from 2026-03-01 14:00 (in 2 h) on, by surplus"
    assert ["foreseen", shown] in lines


def test_power_shows_what_could_be_changed_at_short_notice() -> None:
    """For each notice how much could go, come and stay, and what has gone by then."""
    means = [("miners", 4000.0, 3.5), ("caps", 1200.0, 3.5), ("release", 160.0, 30.0)]
    steps = [(5.0, 5200.0, 75.0, 8400.0), (30.0, 5360.0, 1325.0, 8240.0), (300.0, 5360.0, 2000.0, 8240.0)]
    more: dict[str, Any] = {"holds_s": None, "again_after_s": 0.0, "tiers_w": {}}
    flex = {
        "at": "2026-03-01T12:00:00Z",
        "planned_w": 13_600.0,
        "steps": [dict(zip(("within_s", "down_w", "up_w", "left_w"), step, strict=True)) for step in steps],
        "down": [dict(zip(("name", "power_w", "within_s"), one, strict=True)) | more for one in means],
        "up": [],
    }
    site = busy_site().on("GET", "/power", POWER | {"flex": flex})
    lines = barq(site, "power").stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if "DOWN BY" in line)

    assert lines[first : first + 4] == [
        "WITHIN     DOWN       UP     LEFT  DOWN BY",
        "   5 s   5.2 kW     75 W   8.4 kW  miners 4 kW, caps 1.2 kW",
        "  30 s  5.36 kW  1.32 kW  8.24 kW  miners 4 kW, caps 1.2 kW, release 160 W",
        " 5 min  5.36 kW     2 kW  8.24 kW  miners 4 kW, caps 1.2 kW, release 160 W",
    ]


def test_power_names_document_feeder_and_interval_of_the_limit() -> None:
    """As far as they are known; a limit without beginning has no interval to name."""
    named = {
        "limit_document": "day.csv (SHA-256 5d41402abc4b2a76)",
        "limit_feeder": "feeder-12",
        "limit_since_at": "2026-03-01T11:00:00Z",
        "limit_until_at": "2026-03-01T14:00:00Z",
    }
    ever = {"limit_since_at": "1970-01-01T00:00:00Z", "limit_until_at": None}

    told = barq(busy_site().on("GET", "/power", POWER | named), "power").stdout.splitlines()
    lines = [line.split(maxsplit=1) for line in told]

    assert ["document", "day.csv (SHA-256 5d41402abc4b2a76)"] in lines
    assert ["feeder", "feeder-12"] in lines
    assert ["interval", "2026-03-01 11:00 (1 h ago) to 2026-03-01 14:00 (in 2 h)"] in lines
    assert "interval" not in barq(busy_site().on("GET", "/power", POWER | ever), "power").stdout

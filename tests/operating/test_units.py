"""Log files turn; units are made for everything that distributions have no unit for."""

from cloudpanel.platform import engines, logs, units


def test_a_full_log_becomes_older_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 100)
    log = logs.Log(tmp_path / "a.log")
    for n in range(30):
        log.write(f"line {n}")
    log.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert "line 29" in (tmp_path / "a.log").read_text()


def test_every_process_of_ours_has_a_unit_that_waits_until_it_is_ready():
    files = units.units()
    for process in engines.table():
        if process.ours and not process.once:
            unit = files[f"cloudpanel-{process.name}.service"]
            assert f"wait {process.name} $MAINPID" in unit
            assert "Restart=always" in unit


def test_needs_name_processes_that_come_before():
    seen = set()
    for process in engines.table():
        assert set(process.needs) <= seen
        seen.add(process.name)

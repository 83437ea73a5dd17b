# CloudPanel's commands; what they do is in cloudpanel/platform and docs/operating.md.
.PHONY: run up down status clean check test test-unit test-races test-stack bench soak requirements
install = cloudpanel/platform/install.sh
python = .venv/bin/python
stack = $(python) -m tests.stack

run up:
	@$(install) --preflight $(python) -m cloudpanel.platform $@

down status clean:
	@/usr/bin/python3 -m cloudpanel.platform $@

check:
	@$(install) --dev $(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@$(python) -m cloudpanel.platform.settings_page check
	@$(python) manage.py makemigrations --check --dry-run
	@$(python) -m pytest -q tests/architecture

test: test-unit test-races test-stack

test-unit:
	@$(install) --dev $(python) -m pytest --ignore=tests/races --ignore=tests/wire --ignore=tests/system --ignore=tests/browser

test-races:
	@$(install) --dev $(python) -m tests.postgres $(python) -m pytest tests/races

test-stack:
	@$(install) --dev $(python) -m cloudpanel.platform image
	@$(stack) pytest tests/system tests/browser/test_journey.py
	@CLOUDPANEL_COMPUTE=fake $(stack) pytest tests/wire tests/browser/test_pages.py

bench:
	@$(install) --dev $(stack) $(python) -m tests.bench

soak:
	@$(install) --dev $(stack) $(python) -m tests.soak

requirements:
	@$(install) --dev $(python) -m piptools compile -q --strip-extras requirements.in
	@$(python) -m piptools compile -q --strip-extras requirements-dev.in

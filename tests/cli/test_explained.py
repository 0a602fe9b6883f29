"""`plan -v` tells on stderr who decided what, and how many requests it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.simulator import serve
from tests.support.cli import run_here

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLEET = f"""
applications:
  - id: {APPLICATION}
    name: plant
    flows: {{telemetry: [v1, v2]}}
    devices:
      - {{count: 3, name: "leeds-{{n}}", tags: {{site: leeds}}, deployed: {{telemetry: v1}}}}
"""
MANIFEST = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v1}}}}
pins:
  - {{device: leeds-2, flows: {{telemetry: v2}}, reason: try it}}
"""


def test_decisions_and_requests_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(MANIFEST)
    with serve(FLEET) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv("LOSANT_API_TOKEN", server.token)
        ended = run_here("-v", "plan", "m.yaml")
        assert ended.code == 0
    err = ended.err
    assert "  telemetry v1 by group leeds (m.yaml:4): leeds-1, leeds-3\n" in err
    assert "  telemetry v2 by pin (m.yaml:6), over v1 by group leeds (m.yaml:4): leeds-2\n" in err
    assert "Requests: 4 (1 devices.get, 1 embeddedDeployments.get, 1 flowVersions.get, 1 flows.get)" in err

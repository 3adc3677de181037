"""Adapters that another distribution registers."""

import sys
from types import SimpleNamespace


def install_plugin(monkeypatch, folder, **registered):
    """Install a distribution in a folder that registers objects under the names of providers; a text is a reference."""
    references = {
        name: what if isinstance(what, str) else f"balancekit_plugin:{name}" for name, what in registered.items()
    }
    metadata = folder / "balancekit_plugin-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: balancekit-plugin\nVersion: 1\n")
    lines = (f"{name} = {reference}\n" for name, reference in references.items())
    (metadata / "entry_points.txt").write_text(f"[balancekit.providers]\n{''.join(lines)}")
    monkeypatch.setitem(sys.modules, "balancekit_plugin", SimpleNamespace(**registered))
    monkeypatch.syspath_prepend(folder)

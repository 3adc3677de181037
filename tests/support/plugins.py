"""Adapters that another distribution registers."""

import sys
from types import SimpleNamespace


def install_plugin(monkeypatch, folder, *, distribution="balancekit-plugin", **registered):
    """Install a distribution in a folder that registers objects under the names of providers; a text is a reference."""
    module = distribution.replace("-", "_")
    references = {name: what if isinstance(what, str) else f"{module}:{name}" for name, what in registered.items()}
    metadata = folder / f"{module}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    lines = (f"{name} = {reference}\n" for name, reference in references.items())
    (metadata / "entry_points.txt").write_text(f"[balancekit.providers]\n{''.join(lines)}")
    for imported in (what.partition(":")[0] for what in registered.values() if isinstance(what, str)):
        # Forgotten now, and after the test, since other tests may have a module of that name.
        monkeypatch.setitem(sys.modules, imported, None)
        del sys.modules[imported]
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**registered))
    monkeypatch.syspath_prepend(folder)

"""Adapters that another distribution registers."""

import sys
from types import SimpleNamespace

from balancekit import HttpProvider, Secret


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


class TokenProvider(HttpProvider):
    """An adapter of another distribution, with settings of several types."""

    provider = "token"
    secret_settings = frozenset({"token"})

    def __init__(
        self,
        account,
        *,
        token: "str | Secret",
        timeout: float = 1.0,
        pages: "int | None" = None,
        base_url: str = "https://x.example",
        **more: object,
    ) -> None:
        super().__init__(account, base_url=base_url)
        self.token, self.timeout, self.pages = Secret.of(token), timeout, pages
        if pages == 0:
            raise RuntimeError(self.token.reveal())

    def build_request(self, *, now, nonce):
        """Build no request."""
        raise NotImplementedError

    def read_response(self, response):
        """Read no response."""
        raise NotImplementedError


class PlugIn(TokenProvider):
    """An adapter with one secret, whose constructor may raise anything."""

    provider = "plugin"
    raised: "BaseException | type[BaseException] | None" = None

    def __init__(self, account, *, token) -> None:
        super().__init__(account, token=token)
        if self.raised is not None:
            raise self.raised

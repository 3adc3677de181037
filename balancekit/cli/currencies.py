"""`balancekit currencies`: the codes of each brand, and the currencies that they are counted as."""

from typing import TYPE_CHECKING

import click

from balancekit.cli.logging_option import verbose_option

if TYPE_CHECKING:
    from rich.console import Group

    from balancekit.providers.brands import Brand


@click.command()
@click.option(
    "--brand",
    "name",
    # Those of `BRANDS`, which are imported when the command runs.
    type=click.Choice(["alphapo", "coinspaid", "cryptoprocessing"]),
    help="Show this brand only.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write the result to stdout.",
)
@verbose_option
def currencies(*, name: str | None, form: str) -> None:
    """Show which codes of a brand are counted as which currency, and on which chain each is.

    Several brands serve the Cryptoprocessing API, and each has codes of its own for one currency on several chains. The
    codes of an account that names its `brand` in accounts.toml are counted as the currency that is shown, and any other
    code as itself. JSON has the documents that the table is from, too.
    """
    from balancekit.providers.brands import BRANDS

    brands = [brand for brand in BRANDS.values() if name in {None, brand.name}]
    if form == "json":
        import json

        import attrs

        from balancekit.cli.output import write_raw

        written = {brand.name: attrs.asdict(brand) for brand in brands}
        write_raw(f"{json.dumps(written, default=str, indent=2)}\n")
        return

    from balancekit.cli.output import print_table

    for brand in brands:
        print_table(_render(brand))


def _render(brand: "Brand") -> "Group":
    """Return the codes of a brand as a table, with its base URL above it and its source below."""
    from rich.console import Group
    from rich.text import Text

    from balancekit.cli.table_layout import Table

    heading = Text.assemble((brand.name, "bold"), f"  {brand.base_url}")
    if not brand.codes:
        return Group(heading, Text("Its codes are not known, and pass unchanged.\n", "dim"))
    table = Table("Code", "Currency", "Chain")
    for each in brand.codes:
        counted_as = f"{each.currency} (assumed)" if each.is_assumed else each.currency
        table.add_row(Text(each.code, "" if each.code == each.currency else "bold"), Text(counted_as), Text(each.chain))
    return Group(heading, table, Text(f"From {brand.codes_source}, read {brand.read_on}.\n", "dim"))

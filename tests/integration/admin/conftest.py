"""One PostgreSQL server for all of these tests, a fresh database for each."""
# ruff: noqa: E501 - tables of cases, one a line

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from switch.cli import run
from switch.service.vault import new_key_file
from switch.store.engine import APP_ROLE, resolve, stop_embedded
from switch.store.migrate import mark, upgrade

SEORO = Path(__file__).parents[3] / "config" / "programmes" / "seoro.toml"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"embedded:{tmp_path_factory.mktemp('admin') / 'db'}"
    resolve(url)
    yield url
    stop_embedded(url)


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """A database that is migrated and marked as a simulation, to be copied."""
    owner = create_engine(resolve(server), isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(text("CREATE DATABASE admin_template"))
    owner.dispose()
    engine = create_engine(resolve(server).set(database="admin_template"))
    upgrade(engine)
    mark(engine, simulation=True)
    engine.dispose()
    return "admin_template"


@dataclass
class Desk:
    """An operator's desk: a folder with settings and keys, and a database of its own."""

    folder: Path
    config: Path
    engine: Engine  # of the owner, for looking
    app: Engine  # of the booking role

    def dure(self, *arguments: str) -> int:
        return run(["--config", str(self.config), *arguments])

    def file(self, name: str, text_: str) -> Path:
        path = self.folder / name
        path.write_text(text_, encoding="utf-8")
        return path

    def scalar(self, query: str) -> object:
        with self.engine.connect() as connection:
            return connection.scalar(text(query))

    def execute(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))


MakeDesk = Callable[..., Desk]


@pytest.fixture(scope="session")
def town_template() -> dict[str, Path]:
    """The database of the first town, from which the others are copied, and its keys."""
    return {}


@pytest.fixture
def make_desk(server: str, template: str, tmp_path: Path) -> Iterator[MakeDesk]:
    engines: list[Engine] = []

    def make(extra: str = "", keys: Path | None = None, source: str = template) -> Desk:
        name = f"admin_{next(_numbers)}"
        owner = create_engine(resolve(server), isolation_level="AUTOCOMMIT")
        with owner.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {source}"))
        owner.dispose()
        url = resolve(server).set(database=name)
        app_url = resolve(server, role=APP_ROLE).set(database=name)
        folder = tmp_path / name
        folder.mkdir()
        if keys is None:
            new_key_file(folder / "vault.keys")
        else:
            shutil.copy(keys, folder / "vault.keys")
        (folder / "switch.toml").write_text(
            f'[database]\nurl = "{app_url.set(drivername="postgresql").render_as_string()}"\n'
            f'[vault]\nkey_file = "vault.keys"\n{extra}',
            encoding="utf-8",
        )
        engine, app = create_engine(url), create_engine(app_url)
        engines.extend((engine, app))
        return Desk(folder, folder / "switch.toml", engine, app)

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()


@pytest.fixture
def town(make_desk: MakeDesk, town_template: dict[str, Path]) -> Desk:
    """A desk with the programme seoro, two members with cards, a merchant and a terminal."""
    if not town_template:
        first = make_desk()
        assert first.dure("programme", "apply", str(SEORO)) == 0
        for kind, text_ in TOWN.items():
            assert first.dure("import", kind, str(first.file(f"{kind}.csv", text_))) == 0
        first.engine.dispose()
        first.app.dispose()
        town_template[first.folder.name] = first.folder / "vault.keys"
    ((source, keys),) = town_template.items()
    desk = make_desk(keys=keys, source=source)
    for kind, text_ in TOWN.items():
        desk.file(f"{kind}.csv", text_)
    return desk


CANARY = "9410610000000019"
SECOND = "9410610000000027"
TOWN = {
    "members": "member_id,programme,points_on\nM-1,seoro,yes\nM-2,seoro,no\n",
    "cards": f"programme,member_id,pan,expiry,pvki,pvv,state\nseoro,M-1,{CANARY},3012,1,1234,\nseoro,M-2,{SECOND},3012,,,\n",
    "merchants": (
        "merchant_id,programme,name,category,region,head_region,size,channels,opened,annual_sales,sales_from,"
        "business_no,bank_code,account_no,account_holder,payout_days,groups\n"
        "S-1,seoro,서로식당,restaurant,incheon_seo,incheon_seo,small,pos;delivery,2024-03-02,180000000,2025-01-01,"
        "123-45-67890,088,110-123-456789,서로식당,,market:2025-01-01..2025-12-31;other:2026-01-01\n"
    ),
    "terminals": "terminal_id,merchant_id,tmk,kcv\nT0000001,S-1,UB5CEC5B82CBD727FF49D1881D6FA3973,090199\n",
    "funding": (
        "programme,reference,member_id,kind,won,funder,day\n"
        "seoro,B-1,M-1,charged,100000,,2025-11-20\nseoro,G-1,M-1,points,5000,district,2025-11-20\n"
        "seoro,G-2,M-2,points,700,city,2025-02-28\n"
    ),
}

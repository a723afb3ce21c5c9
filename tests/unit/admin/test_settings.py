"""Settings: one clear line for a fault, and nothing secret shown."""

from pathlib import Path

import pytest

from switch.settings import ConfigError, effective, load_settings

EXAMPLE = Path(__file__).parents[3] / "config" / "switch.toml"
GOOD = '[database]\nurl = "embedded:db"\n[vault]\nkey_file = "vault.keys"\n'
TLS = '[[listener]]\n[listener.tls]\ncertificate = "c"\nkey = "k"\n'
PVK = "U" + "0123456789ABCDEF" * 2


def _load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "switch.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_the_example_holds() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.database.url == f"embedded:{EXAMPLE.parents[1] / 'var' / 'db'}"
    assert settings.lanes.count == 2


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "switch.toml").write_text(GOOD)
    settings = load_settings(tmp_path / "switch.toml")
    assert settings.vault.key_file == str(tmp_path / "vault.keys")
    assert settings.database_url() == f"embedded:{tmp_path / 'db'}"


def test_the_paths_of_every_listener_are_relative_to_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "switch.toml").write_text(
        GOOD + "[[listener]]\nport = 1\n" + TLS.replace('"c"', '"../tls/c"')
    )
    first, second = load_settings(tmp_path / "switch.toml").listener
    assert first.tls is None
    assert second.tls is not None
    assert second.tls.certificate == str(tmp_path.parent / "tls" / "c")
    assert second.tls.crl == ""


def test_effective_shows_no_key(tmp_path: Path) -> None:
    text = GOOD + f'[keys]\npvk = "{PVK}"\npvk_by_programme = {{ ontong = "{PVK}" }}\n'
    (tmp_path / "switch.toml").write_text(text)
    shown = effective(load_settings(tmp_path / "switch.toml"))
    assert PVK not in str(shown)
    assert shown["keys"]["pvk"] == "(set)"
    assert shown["keys"]["pvk_by_programme"] == {"ontong": "(set)"}
    assert shown["keys"]["cvk"] == shown["keys"]["imk"] == "(not set)"


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p@ss/word\n")
    text = GOOD.replace('"embedded:db"', '"postgresql://dure_app@db/dure"\npassword_file = "secret"')
    (tmp_path / "switch.toml").write_text(text)
    settings = load_settings(tmp_path / "switch.toml")
    assert settings.database_url() == "postgresql://dure_app:p%40ss%2Fword@db/dure"
    assert "word\n" not in str(effective(settings))
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigError, match="password_file: cannot be read"):
        settings.database_url()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[database]\nurl = \n", "line 2"),
        ('[vault]\nkey_file = "k"\n', "database: is missing"),
        (GOOD + "[lanes]\ncuont = 3\n", 'lanes.cuont: unknown key: did you mean "count"?'),
        (GOOD + "[lane]\n", 'lane: unknown key: did you mean "lanes"?'),
        (GOOD + "[lanes]\ncount = 0\n", "lanes.count: input should be greater than or equal to 1"),
        (GOOD + '[lanes]\ncount = "2"\n', "lanes.count: input should be a valid integer"),
        (GOOD + "[[listener]]\nport = 1\n[[listener]]\nport = 70000\n", "listener.2.port: "),
        (GOOD + '[[listener]]\n[listener.tls]\ncertificate = "c"\n', "listener.1.tls.key: is missing"),
        (
            GOOD + TLS + "keys = 1\n",
            'listener.1.tls.keys: unknown key: did you mean "key"?',
        ),
        (GOOD + TLS + 'client_certificates = "required"\n', "needs client_ca"),
        (GOOD + TLS + 'client_ca = "ca"\n', "needs client_ca"),
        (GOOD + TLS + 'crl = "crl"\n', "crl is for client certificates"),
        (GOOD + '[[listener]]\ndialect = "ebcdic"\n', "listener.1.dialect: input should be 'ascii' or 'bcd'"),
        (GOOD + '[clock]\nmode = "simulated"\n', 'clock: mode = "simulated" needs file'),
        (GOOD + '[clock]\nfile = "x"\n', 'mode = "system" takes none'),
        (GOOD + '[keys]\npvk = "secret"\n', "keys.pvk: string should match pattern"),
        (GOOD.replace("embedded:db", "mysql://x/y"), "database.url: is no address"),
        (GOOD.replace("embedded:db", "postgresql://u:hunter2@h/d"), "database.url: holds a password"),
        (
            GOOD.replace('"embedded:db"', '"embedded:db"\npassword_file = "s"'),
            "an embedded server has no password",
        ),
    ],
)
def test_a_fault_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    line = str(caught.value)
    assert expected in line
    assert line.startswith(str(tmp_path / "switch.toml"))
    assert "\n" not in line
    assert "hunter2" not in line
    assert "secret" not in line.replace("secret needs", "")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file: name one with --config"):
        load_settings(tmp_path / "none.toml")


def test_a_byte_order_mark_does_not_matter_and_other_encodings_are_told(tmp_path: Path) -> None:
    assert _load(tmp_path, "\ufeff" + GOOD)
    (tmp_path / "korean.toml").write_bytes(GOOD.encode() + "# 서로".encode("cp949"))
    with pytest.raises(ConfigError, match=r"korean\.toml: is not UTF-8: save it as UTF-8 text"):
        load_settings(tmp_path / "korean.toml")
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\): name a file"):
        load_settings(tmp_path)

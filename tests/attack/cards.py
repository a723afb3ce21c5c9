"""The switch with issuer's keys, derived-key terminals and certificates that the attacks on them need."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.tdes import Tdes, odd_parity
from switch.service.import_terminals import import_terminals
from terminal_sim.card import IssuerKeys, SimCard
from terminal_sim.dukpt import TDES, TdesStore, base_key, initial_serial
from terminal_sim.keys import tmk
from terminal_sim.terminal import Terminal
from tests.attack.fort import Fort
from tests.support.pki import Authority, listener_tls
from tests.support.stage import PIN, PVK, SEED, start_switch

CVK = odd_parity(bytes.fromhex("101112131415161718191A1B1C1D1E1F"))
IMK = odd_parity(bytes.fromhex("202122232425262728292A2B2C2D2E2F"))
ISSUER = IssuerKeys(Tdes(odd_parity(PVK)), CvvKey(CVK), IMK)


class Guarded(msgspec.Struct):
    """A second switch on the fort's books that checks cards, and a port that wants client certificates."""

    port: int
    tls_port: int
    authority: Authority
    stranger: Authority


@contextmanager
def guarded(fort: Fort) -> Iterator[Guarded]:
    """The switch, running."""
    folder = fort.stage.directory / "pki"
    authority, stranger = Authority(folder), Authority(folder / "other", "Another CA")
    pair = authority.issue("switch", server=True)
    crl = authority.revoke(authority.issue("revoked", uris=["dure:terminal:*"])[0])
    tls = "[[listener]]\nport = 0\n" + listener_tls(authority, pair, clients="required", crl=str(crl))
    keys = (
        f'cvk = "{TEST_LMK.encrypt("402", "U", CVK)}"\nimk = "{TEST_LMK.encrypt("109", "U", IMK)}"\n[lanes]'
    )
    config = fort.configure("guarded", [("[hsm]", f"{tls}\n[hsm]"), ("[limits]", f"{keys[:-7]}[limits]")])
    switch = start_switch(config)
    try:
        ports = [int(one["port"]) for one in switch.told["listening"]]
        yield Guarded(ports[0], ports[2], authority, stranger)
    finally:
        switch.stop()


def card(pan: str) -> SimCard:
    """A card with everything on it: stripe, printed value and chip."""
    return SimCard(pan, "3112", PIN, ISSUER)


def derived_terminal(fort: Fort) -> Terminal:
    """A terminal of the estate whose keys are derived, one for each message."""
    plain = fort.till()
    name = plain.terminal_id
    base, serial = base_key(SEED, TDES), initial_serial(name, TDES)
    path = fort.stage.directory / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            (
                ("terminal_id", "merchant_id", "tmk", "kcv", "key_mode", "bdk", "ksn_id"),
                (name, plain.merchant_id, "", "", TDES, TEST_LMK.encrypt("009", "U", base), serial),
            )
        )
    import_terminals(fort.stage.engine, path, fort.now)
    return Terminal(name, plain.merchant_id, tmk(SEED, name), dukpt=TdesStore(base, serial))

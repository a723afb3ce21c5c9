"""Every method of the client against the simulator's handlers, without a socket between them."""

import asyncio
from typing import Any

import pytest

from hsm_sim.crypto import emv
from hsm_sim.crypto.pinblock import account_part, encode_format0
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes
from switch.hsm.calls import HsmCalls, Parser
from switch.hsm.commands import HsmRefused, PinResult
from tests.unit.hsm.unit import call, clear, text

PAN = "9410610000012347"
ACCOUNT = account_part(PAN)
KSN = "FFFF9876543210E00007"


class Direct(HsmCalls):
    """Carries a command by calling its handler."""

    def _send(self, request: bytes, parser: Parser) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(call(request, parser))
        except HsmRefused as refused:
            future.set_exception(refused)
        return future


async def test_every_method() -> None:
    hsm = Direct()
    assert (await hsm.diagnostics()).lmk_check_value
    assert await hsm.echo(b"abc") == b"abc"

    tmk, zmk = (await hsm.generate_key("002")).lmk, (await hsm.generate_key("000")).lmk
    tpk = await hsm.generate_key("002", under_tmk=tmk, exported_scheme="R")
    assert tpk.exported is not None
    assert tpk.exported.startswith("RB")
    tak = (await hsm.generate_key("003")).lmk
    exported = await hsm.export_key("003", tak, under=zmk, scheme="R")
    back = await hsm.import_key("003", exported.key, zmk=zmk)
    assert back.key.startswith("S"), "a key block stays one unless told otherwise"
    older = await hsm.export_key("003", tak, under=zmk)
    assert (await hsm.import_key("003", older.key, zmk=zmk)).key == tak
    assert await hsm.check_value("003", back.key) == await hsm.check_value("003", tak)

    mac = await hsm.generate_mac(tak, b"abc")
    assert await hsm.verify_mac(back.key, b"abc", mac)
    bdk = text("009", clear(61))
    reply = await hsm.generate_mac_dukpt(bdk, KSN, b"abc")
    assert not await hsm.verify_mac_dukpt(bdk, KSN, b"abc", reply)

    cvk = (await hsm.generate_key("402")).lmk
    cvv = await hsm.generate_cvv(cvk, PAN, "2912", "201")
    assert await hsm.verify_cvv(cvk, cvv, PAN, "2912", "201")

    with pytest.raises(ValueError, match="not both"):
        hsm.generate_key("002", under_tmk=tmk, under_zmk=zmk)
    with pytest.raises(HsmRefused):
        await hsm.generate_mac(tpk.lmk, b"abc")


async def test_pins_and_chips() -> None:
    hsm = Direct()
    tpk, zpk, pvk = text("002", clear(62)), text("001", clear(63)), text("002", clear(64))
    block = Tdes(clear(62)).encrypt(encode_format0("1234", ACCOUNT)).hex()
    pvv = pin_verification_value(Tdes(clear(64)), ACCOUNT, "1", "1234")
    assert await hsm.verify_pin(tpk, pvk, block, ACCOUNT, "1", pvv) is PinResult.OK
    assert await hsm.verify_pin(tpk, pvk, block, ACCOUNT, "1", pvv, "47") is PinResult.BAD_BLOCK_OR_KEY
    bdk = text("009", clear(61))
    noise = await hsm.verify_pin_dukpt(bdk, pvk, KSN, block, ACCOUNT, "1", pvv)
    assert noise is PinResult.BAD_BLOCK_OR_KEY
    assert len(await hsm.translate_pin(tpk, zpk, block, ACCOUNT, "01", "47")) == 16

    imk = text("109", clear(65))
    key = emv.session_key(emv.icc_master_key(clear(65), PAN), bytes.fromhex("0007"))
    cryptogram = emv.arqc(key, b"data")
    arqc, arpc = cryptogram.hex(), emv.arpc(key, cryptogram, b"05").hex().upper()
    assert await hsm.verify_arqc(imk, PAN, "00", "0007", "00000000", b"data", arqc, "05") == (True, arpc)
    assert await hsm.generate_arpc(imk, PAN, "00", "0007", "00000000", arqc, "05") == arpc
    assert await hsm.verify_arqc(imk, PAN, "00", "0008", "00000000", b"data", arqc, "05") == (False, "")

"""Host commands of a payShield-class HSM as bytes: request bodies out, reply bodies in. Sans-IO.

A message is header + 2-character command + body; its reply is the same header + the command with its second
character raised by one + 2-character error code + body. Layouts follow the maker's public host command
reference for variant LMKs. Where that is silent, the choices are ours, and each is named where it is made:

- keys are key texts, never clear: 16 hex, U + 32 hex, X + 32 hex, or S + a key block under the LMK;
- format 48 takes the whole PAN and a delimiter (pin);
- GW's methods 2, 6 and 7, KQ's scheme C (mac, card).

base → mac → pin; keys, card.
"""

from switch.hsm.commands.base import (
    ERRORS,
    HEADER_BYTES,
    MAC_DATA_BYTES_MAX,
    Diagnostics,
    HsmRefused,
    diagnostics,
    echo,
    parse_diagnostics,
    parse_echo,
    reply_code,
)
from switch.hsm.commands.card import (
    generate_arpc,
    generate_cvv,
    parse_arpc,
    parse_arqc_verified,
    parse_cvv,
    parse_cvv_verified,
    verify_arqc,
    verify_cvv,
)
from switch.hsm.commands.keys import (
    GeneratedKey,
    KeyResult,
    check_value,
    export_key,
    generate_key,
    import_key,
    parse_check_value,
    parse_exported_key,
    parse_generated_key,
    parse_imported_key,
)
from switch.hsm.commands.mac import (
    generate_mac,
    generate_mac_dukpt,
    parse_mac,
    parse_mac_dukpt,
    parse_mac_dukpt_verified,
    parse_mac_verified,
    verify_mac,
    verify_mac_dukpt,
)
from switch.hsm.commands.pin import (
    FORMAT_0,
    FORMAT_3,
    FORMAT_4,
    PinResult,
    parse_pin_result,
    parse_pin_result_dukpt,
    parse_translated_pin,
    translate_pin,
    verify_pin,
    verify_pin_dukpt,
)

__all__ = [
    "ERRORS",
    "FORMAT_0",
    "FORMAT_3",
    "FORMAT_4",
    "HEADER_BYTES",
    "MAC_DATA_BYTES_MAX",
    "Diagnostics",
    "GeneratedKey",
    "HsmRefused",
    "KeyResult",
    "PinResult",
    "check_value",
    "diagnostics",
    "echo",
    "export_key",
    "generate_arpc",
    "generate_cvv",
    "generate_key",
    "generate_mac",
    "generate_mac_dukpt",
    "import_key",
    "parse_arpc",
    "parse_arqc_verified",
    "parse_check_value",
    "parse_cvv",
    "parse_cvv_verified",
    "parse_diagnostics",
    "parse_echo",
    "parse_exported_key",
    "parse_generated_key",
    "parse_imported_key",
    "parse_mac",
    "parse_mac_dukpt",
    "parse_mac_dukpt_verified",
    "parse_mac_verified",
    "parse_pin_result",
    "parse_pin_result_dukpt",
    "parse_translated_pin",
    "reply_code",
    "translate_pin",
    "verify_arqc",
    "verify_cvv",
    "verify_mac",
    "verify_mac_dukpt",
    "verify_pin",
    "verify_pin_dukpt",
]

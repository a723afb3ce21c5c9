"""What services call: a client whose every method is a host command (see calls) and gives a future.

    hsm = HsmClient("127.0.0.1", 1500, standby=[("127.0.0.1", 1501)])
    await hsm.start()
    mac = await hsm.generate_mac(tak, b"...")

Every future ends: with its result, HsmRefused (the HSM said no) or HsmUnavailable (it said nothing).
"""

from switch.hsm.calls import HsmCalls
from switch.hsm.pool import HsmPool


class HsmClient(HsmPool, HsmCalls):
    """The commands of HsmCalls, carried by the connections of HsmPool, which has the limits and the life."""

"""What every section of the settings is made of."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

PORT_MAX: Final = 65_535
Port = Annotated[int, Field(ge=0, le=PORT_MAX)]
HostPort = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):[1-9][0-9]{0,4}$")]
"""A name or address with a port: "10.0.0.2:1500", "[::1]:1500"."""


class ConfigError(Exception):
    """A configuration that cannot be used: one line with file, key and what to do."""


class Section(BaseModel):
    """A table of the file: unknown keys are refused, nothing is converted, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
